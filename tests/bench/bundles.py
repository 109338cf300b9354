"""What the door would have put on `received`: bundles of raw notifications, made without a door."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import islice

from runtime.clock import system_clock
from schemas.envelope import Envelope, Kind, encode_bundles, new_id, new_trace
from schemas.notification import Notification, to_json
from tests.bench import queues


def bundles(bodies: Iterator[bytes], size: int, *, source: str) -> Iterator[bytes]:
    """The CDR posts of these bodies, `size` in each bundle."""
    clock = system_clock()
    while group := list(islice(bodies, size)):
        for body, _ in encode_bundles([_envelope(body, clock(), source) for body in group]):
            yield body


def _envelope(body: bytes, now: datetime, source: str) -> Envelope:
    notification = Notification(path="/fee", remote="", content_type=queues.JSON, headers={}, body=body)
    return Envelope(
        id=new_id(now), kind=Kind.NOTIFICATION, source=source, at=now, body=to_json(notification), trace=new_trace()
    )
