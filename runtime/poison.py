"""Poison that kills the process: found by its delivery count, split off, tried alone, then dead-lettered.

A crash counts a delivery of everything the process held, so a high count alone proves nothing. A bundle delivered
three times is republished as bundles of one, marked as suspected. Each of them is tried with nothing else in hand (the
others are put back with a fresh count), so the poison costs the same few deaths in a bundle of any size; a retry, a
bundle of one too, is tried so once it comes again. After three such deliveries it alone is a dead letter.
Deliveries to this very process do not count: they did not kill it.

Stages that share a process share its death, so only one of them tries a suspect at a time, and the others hold none.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from runtime.broker.base import Delivery, Message
from runtime.wire import ISOLATED, SUSPECTED, again, dead_envelope, isolated, unpack
from schemas.envelope import Envelope, Kind
from schemas.topology import PARKING

SUSPICIOUS_DELIVERIES: Final = 3
QUIET_SECONDS: Final = 0.2  # for acks to arrive, which have no reply, and for the other stages to put theirs back
REST_SECONDS: Final = 5.0
REMEMBERED: Final = 10_000  # messages; a lost connection brings back at most what was prefetched
REASON: Final = "delivered three times alone and never settled: it probably kills the process"


@dataclass(frozen=True, slots=True)
class Sorted:
    """`settle` is acked once `messages` and `dead` are confirmed; then `handle` goes to the handler.

    `alone`: how often the one suspect in `handle` came; 0 where `handle` is above suspicion.
    """

    handle: Sequence[Delivery]
    settle: Sequence[Delivery] = field(default_factory=list)
    messages: Sequence[Message] = field(default_factory=list)
    dead: Sequence[Envelope] = field(default_factory=list)
    alone: int = 0


class Trials:
    """The trials of one process: the suspect that came most often has its turn first, alone in the whole process."""

    def __init__(self) -> None:
        self._bids: list[tuple[int, int]] = []
        self._drawn = 0
        self._over = asyncio.Event()
        self._over.set()

    async def begin(self, count: int) -> bool:
        """Whether a suspect that came `count` times may be tried now; then `end` must follow.

        Else it has to be put back, and the stage rests, because what it holds or is sent would count this death.
        """
        self._drawn += 1
        bid = (count, -self._drawn)
        self._bids.append(bid)
        try:
            await asyncio.sleep(QUIET_SECONDS)
            if not self._over.is_set() or max(self._bids) != bid:
                return False
        finally:
            self._bids.remove(bid)
        self._over.clear()
        return True

    def end(self) -> None:
        """It lived."""
        self._over.set()

    async def rest(self) -> None:
        """Return when the trial of another stage is over, or has taken long."""
        await asyncio.sleep(QUIET_SECONDS)
        try:
            async with asyncio.timeout(REST_SECONDS):
                await self._over.wait()
        except TimeoutError:
            return


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
        alone = max((d for d in suspects if ISOLATED in d.headers), key=lambda d: counts[d.tag], default=None)
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
            return Sorted([alone], others, messages, dead, alone=counts[alone.tag])
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
    if delivery.headers.get(ISOLATED) == SUSPECTED:
        return 1
    return 2 if ISOLATED in delivery.headers else SUSPICIOUS_DELIVERIES
