"""A source as the door needs it: whatever does not change from request to request is worked out once."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ingest.nonces import Nonces
from ingest.shares import Held
from runtime.telemetry.door import DoorMetrics
from schemas.dialect.dialect import AnyDialect, Asks
from schemas.errors import Rejected
from schemas.notification import Notification, without_signature
from schemas.settings.source import AskingSource, SignedSource, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """Some pushes are questions, read and answered by `asks`, in the way that the source's settings say."""

    source: AskingSource
    asks: Asks[Any]


class Entrance:
    """A source with its dialect, its metrics and its memory of nonces.

    `asking` is None where nothing is a question; `held` is what it has under way. One that takes the place of another
    (`before`) goes on with what that has under way and remembers.
    """

    def __init__(
        self, source: Source, dialect: AnyDialect, metrics: DoorMetrics, before: Entrance | None = None
    ) -> None:
        self.name = source.name
        self.dialect = dialect
        self.metrics = metrics
        self.asking = _asking(source, dialect)
        self.held: Held = before.held if before else Held()
        self._source = source
        self._tokens = [token.get_secret_value().encode() for token in source.tokens]
        wanted = source.verify if isinstance(source, SignedSource) else "never"
        self._verify = None if wanted == "never" else dialect.verify
        self._unsigned_is_wrong = wanted == "always"
        self.questions_are_signed = isinstance(source, SignedSource) and source.questions_are_signed
        self._nonce = dialect.once.nonce if dialect.once else None
        self.keep = dialect.once.keep(source) if dialect.once else None
        if before is not None and before.keep == self.keep:  # else as after a restart
            self.nonces: Nonces | None = before.nonces
        else:
            self.nonces = None if self.keep is None else Nonces(keep=self.keep)

    def knows(self, token: str) -> bool:
        """Compares with every token in constant time."""
        given, known = token.encode(errors="surrogateescape"), False
        for own in self._tokens:
            known |= hmac.compare_digest(given, own)
        return known

    def without_signature(self, notification: Notification, now: datetime) -> Notification:
        """The push as it is stored, when this source takes one that is signed like this: with a verdict in its place.

        Raises:
            Rejected: it does not (401).
        """
        verified = None if self._verify is None else self._verify(notification, self._source, now)
        if verified is False or (verified is None and self._unsigned_is_wrong):
            raise Rejected("signature missing or wrong", status=401)
        if verified and self._is_used(notification, now):
            raise Rejected("signature used before", status=401)
        bare = without_signature(notification, right=verified is True)
        return bare if self.dialect.unsigned is None else self.dialect.unsigned(bare)

    def _is_used(self, notification: Notification, now: datetime) -> bool:
        if self._nonce is None or self.nonces is None:
            return False
        nonce = self._nonce(notification)
        return nonce is not None and not self.nonces.is_new(nonce, now)


def _asking(source: Source, dialect: AnyDialect) -> Asking | None:
    if dialect.asks is None or not isinstance(source, AskingSource) or not source.control:
        return None
    return Asking(source=source, asks=dialect.asks)
