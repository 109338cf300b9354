"""A source as the door needs it: whatever does not change from request to request is worked out once."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from ingest.nonces import Nonces
from runtime.telemetry import DoorMetrics
from schemas.config import Source
from schemas.dialect.dialect import Platform
from schemas.errors import Rejected
from schemas.notification import Notification

CONFIRM_SECONDS: Final[Mapping[str, float]] = {"aliyun_pnp": 0.6, "jiuyun_axb": 2.0}
CONFIRM_SECONDS_DEFAULT: Final = 3.0


class BoundSource:
    """A source with its platform, its metrics and its memory of nonces."""

    def __init__(self, source: Source, platform: Platform, metrics: DoorMetrics) -> None:
        self.source = source
        self.name = source.name
        self.platform = platform
        self.metrics = metrics
        self.confirm_seconds = CONFIRM_SECONDS.get(source.platform, CONFIRM_SECONDS_DEFAULT)
        self._tokens = [token.get_secret_value().encode() for token in source.tokens]
        self._nonces = Nonces(keep=2 * source.clock_skew)

    def knows(self, token: str) -> bool:
        """Compares with every token in constant time."""
        given, known = token.encode(errors="surrogateescape"), False
        for own in self._tokens:
            known |= hmac.compare_digest(given, own)
        return known

    def check_signature(self, notification: Notification, now: datetime) -> None:
        """Return when this source takes a push that is signed like this.

        Raises:
            Rejected: it does not (401).
        """
        if self.source.verify == "never":
            return
        verified = self.platform.verify(notification, self.source, now)
        if verified is False or (verified is None and self.source.verify == "always"):
            raise Rejected("signature missing or wrong", status=401)
        if verified and (nonce := self.platform.nonce(notification)) and not self._nonces.is_new(nonce, now):
            raise Rejected("signature used before", status=401)
