"""A source as the door needs it: whatever does not change from request to request is worked out once."""

from __future__ import annotations

import hmac
from datetime import datetime

from ingest.nonces import Nonces
from runtime.telemetry import DoorMetrics
from schemas.config import Source
from schemas.dialect.dialect import AnyDialect
from schemas.errors import Rejected
from schemas.notification import Notification


class BoundSource:
    """A source with its dialect, its metrics and its memory of nonces; `asks` is None where it asks nothing."""

    def __init__(self, source: Source, dialect: AnyDialect, metrics: DoorMetrics) -> None:
        self.source = source
        self.name = source.name
        self.dialect = dialect
        self.metrics = metrics
        self.asks = dialect.asks if source.control else None
        self._tokens = [token.get_secret_value().encode() for token in source.tokens]
        self._verify = None if source.verify == "never" else dialect.verify
        self._unsigned_is_wrong = source.verify == "always"
        self._nonce = dialect.once.nonce if dialect.once else None
        self._nonces = Nonces(keep=dialect.once.keep(source)) if dialect.once else None

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
        verified = None if self._verify is None else self._verify(notification, self.source, now)
        if verified is False or (verified is None and self._unsigned_is_wrong):
            raise Rejected("signature missing or wrong", status=401)
        if verified and self._is_used(notification, now):
            raise Rejected("signature used before", status=401)

    def _is_used(self, notification: Notification, now: datetime) -> bool:
        if self._nonce is None or self._nonces is None:
            return False
        nonce = self._nonce(notification)
        return nonce is not None and not self._nonces.is_new(nonce, now)
