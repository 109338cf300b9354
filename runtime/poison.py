"""Poison that kills the process: found by its delivery count, split off, tried alone, then dead-lettered.

A crash counts a delivery of everything the process held, so a high count alone proves nothing. A bundle delivered
three times is republished as bundles of one, marked `isolated`. From then on an isolated message that comes again
is tried with nothing else in hand (the others are put back with a fresh count), and after three such deliveries
it alone is a dead letter. Deliveries to this very process do not count: they did not kill it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from runtime.broker.base import Delivery, Message
from runtime.wire import ISOLATED, again, dead_envelope, isolated, unpack
from schemas.envelope import Envelope, Kind
from schemas.topology import PARKING

SUSPICIOUS_DELIVERIES: Final = 3
REMEMBERED: Final = 10_000  # messages; a lost connection brings back at most what was prefetched
REASON: Final = "delivered three times alone and never settled: it probably kills the process"


@dataclass(frozen=True, slots=True)
class Sorted:
    """`handle` goes to the handler; `settle` is acked once `messages` and `dead` are confirmed."""

    handle: Sequence[Delivery]
    settle: Sequence[Delivery] = field(default_factory=list)
    messages: Sequence[Message] = field(default_factory=list)
    dead: Sequence[Envelope] = field(default_factory=list)


class Suspects:
    """Remembers what this process has survived, and sorts batches by it."""

    def __init__(self) -> None:
        self._survived: OrderedDict[str, int] = OrderedDict()

    def sort(self, deliveries: Sequence[Delivery], *, queue: str, now: datetime, message_ids: Iterator[str]) -> Sorted:
        """Everything goes to the handler, unless something in the batch has been delivered suspiciously often."""
        counts = {delivery.tag: self._elsewhere(delivery) for delivery in deliveries}
        suspects = [d for d in deliveries if counts[d.tag] >= _limit(d)]
        if not suspects:
            return Sorted(deliveries)
        alone = next((d for d in suspects if ISOLATED in d.headers), None)
        others = [d for d in deliveries if d is not alone]
        messages: list[Message] = []
        dead: list[Envelope] = []
        for delivery in others:
            split = counts[delivery.tag] >= SUSPICIOUS_DELIVERIES and ISOLATED not in delivery.headers
            if not split:
                messages.append(again(delivery, queue=queue, message_id=next(message_ids)))
                continue
            for envelope in unpack(delivery, now, queue=queue):
                if envelope.kind == Kind.DEAD and queue not in PARKING:
                    dead.append(envelope)
                else:
                    messages.append(isolated(envelope, queue=queue, message_id=next(message_ids)))
        if alone is None:
            return Sorted([], others, messages, dead)
        if counts[alone.tag] <= SUSPICIOUS_DELIVERIES:
            return Sorted([alone], others, messages, dead)
        given_up = [dead_envelope(envelope, reason=REASON, stage=queue) for envelope in unpack(alone, now, queue=queue)]
        return Sorted([], deliveries, messages, [*dead, *given_up])

    def _elsewhere(self, delivery: Delivery) -> int:
        """How often it has been delivered, less the times that this process had it before and lived."""
        before = self._survived.pop(delivery.message_id, 0)
        self._survived[delivery.message_id] = before + 1
        if len(self._survived) > REMEMBERED:
            self._survived.popitem(last=False)
        return max(delivery.deliveries - before, 1)


def _limit(delivery: Delivery) -> int:
    return 2 if ISOLATED in delivery.headers else SUSPICIOUS_DELIVERIES
