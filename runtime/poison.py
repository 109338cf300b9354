"""Poison that kills the process: found by its delivery count, split off, tried alone, then dead-lettered.

A crash counts a delivery of everything the process held, so a high count alone proves nothing. A bundle delivered
three times is republished as bundles of one, marked `isolated`. From then on an isolated message that comes again
is tried with nothing else in hand (the others are put back with a fresh count), and after three such deliveries
it alone is a dead letter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from runtime.broker.base import Delivery, Message
from runtime.wire import ISOLATED, again, dead_envelope, isolated, unpack
from schemas.envelope import Envelope

SUSPICIOUS_DELIVERIES: Final = 3
REASON: Final = "delivered three times alone and never settled: it probably kills the process"


@dataclass(frozen=True, slots=True)
class Sorted:
    """`handle` goes to the handler; `settle` is acked once `messages` and `dead` are confirmed."""

    handle: Sequence[Delivery]
    settle: Sequence[Delivery] = field(default_factory=list)
    messages: Sequence[Message] = field(default_factory=list)
    dead: Sequence[Envelope] = field(default_factory=list)


def sort_suspects(deliveries: Sequence[Delivery], *, queue: str, now: datetime, message_ids: Iterator[str]) -> Sorted:
    """Everything goes to the handler, unless something in the batch has been delivered suspiciously often."""
    suspects = [d for d in deliveries if d.deliveries >= _limit(d)]
    if not suspects:
        return Sorted(deliveries)
    alone = next((d for d in suspects if ISOLATED in d.headers), None)
    others = [d for d in deliveries if d is not alone]
    messages = [m for d in others for m in _put_back(d, queue, now, message_ids)]
    if alone is None:
        return Sorted([], others, messages)
    if alone.deliveries <= SUSPICIOUS_DELIVERIES:
        return Sorted([alone], others, messages)
    dead = [dead_envelope(envelope, reason=REASON, stage=queue) for envelope in unpack(alone, now, queue=queue)]
    return Sorted([], deliveries, messages, dead)


def _limit(delivery: Delivery) -> int:
    return 2 if ISOLATED in delivery.headers else SUSPICIOUS_DELIVERIES


def _put_back(delivery: Delivery, queue: str, now: datetime, message_ids: Iterator[str]) -> list[Message]:
    if delivery.deliveries < SUSPICIOUS_DELIVERIES or ISOLATED in delivery.headers:
        return [again(delivery, queue=queue, message_id=next(message_ids))]
    return [isolated(e, queue=queue, message_id=next(message_ids)) for e in unpack(delivery, now, queue=queue)]
