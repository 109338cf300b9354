"""What every store's outbox shares: how a row becomes its envelope again, byte for byte, and how long a lease is."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import orjson

from schemas.envelope import Envelope, decode_envelope

LEASE: Final = timedelta(seconds=5)


def stored_envelope(row: bytes) -> Envelope:
    """The envelope of an outbox row; an event's body comes back as the very bytes that were stored."""
    return decode_envelope(orjson.loads(row))
