"""Poison that kills the process: found by its delivery count, cornered step by step, then dead-lettered alone.

A crash counts a delivery of everything the process held, so a high count alone proves nothing, and killing healthy
processes now and then must cost nothing. So suspicion has degrees, which a message carries in a header; each time it
is raised the message is put back, and its count starts again:

- 0: any bundle. Delivered three times, it is split into bundles of one, of degree 1.
- 1: handled like everything else. Delivered twice, it is of degree 2.
- 2: a few are tried with nothing else in hand. Delivered twice, each is of degree 3.
- 3: tried alone, with nothing else in hand. After three such deliveries it is a dead letter.

So poison costs the same few deaths in a bundle of any size, and an innocent has to be in hand at four deaths before
anybody waits for it. Deliveries to this very process do not count: they did not kill it. Stages that share a process
share its death, so only one of them tries its suspects at a time, and the others hold none meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from runtime.broker.base import DIED_IN, Delivery, Message
from runtime.wire import SUSPICION, again, dead_envelope, suspected, unpack
from schemas.envelope import Envelope, Kind
from schemas.topology import PARKING

FEW: Final = 2  # the degree from which on suspects are tried with nothing else in hand
ALONE: Final = 3
RAISED_AT: Final = (3, 2, 2)  # deliveries, by degree
LAST_DELIVERY: Final = 3  # alone
GROUP: Final = 4
QUIET_SECONDS: Final = 0.2  # for acks to arrive, which have no reply, and for the other stages to put theirs back
REST_SECONDS: Final = 5.0
REMEMBERED: Final = 10_000  # messages at least; a lost connection brings back at most what was prefetched
REASON: Final = "delivered three times alone and never settled: it probably kills the process"


@dataclass(frozen=True, slots=True, kw_only=True)
class Aside:
    """What is not for the handler now: `settle` is acked once `messages` and `dead` are confirmed."""

    settle: Sequence[Delivery] = ()
    messages: Sequence[Message] = ()
    dead: Sequence[Envelope] = ()


@dataclass(frozen=True, slots=True)
class Sorted:
    """`handle` goes to the handler once `aside` is settled.

    `trial` is None, or the degree and count of the suspects in `handle`: then nothing else may be in hand.
    """

    handle: Sequence[Delivery]
    aside: Aside = field(default_factory=Aside)
    trial: tuple[int, int] | None = None


class Trials:
    """The trials of one process: one at a time, the greatest suspicion first."""

    def __init__(self) -> None:
        self._bids: list[tuple[tuple[int, int], int]] = []
        self._drawn = 0
        self._over = asyncio.Event()
        self._over.set()

    async def begin(self, suspicion: tuple[int, int]) -> bool:
        """Whether suspects of this degree may be tried now, the greatest first; then `end` must follow.

        Else it has to be put back, and the stage rests, because what it holds or is sent would count this death.
        """
        self._drawn += 1
        bid = (suspicion, -self._drawn)
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
    """Remembers what this process has survived, and sorts batches by it; `queue` is the one they come from."""

    def __init__(self, *, queue: str, message_ids: Iterator[str]) -> None:
        self._queue = queue
        self._ids = message_ids
        self._survived: dict[str, int] = {}
        self._survived_before: dict[str, int] = {}

    def sort(self, deliveries: Sequence[Delivery], now: datetime) -> Sorted:
        """Everything goes to the handler, unless something in the batch has been delivered suspiciously often."""
        counts = {delivery.tag: self._elsewhere(delivery) for delivery in deliveries}
        if not any(d.deliveries > 1 or SUSPICION in d.headers for d in deliveries):
            return Sorted(deliveries)
        raised = [d for d in deliveries if _is_raised(d, counts[d.tag])]
        suspects = [d for d in deliveries if _degree(d) >= FEW and d not in raised]
        if not suspects:
            innocent = [d for d in deliveries if d not in raised]
            return Sorted(innocent, self._aside(raised, counts, now))
        trial = max((_degree(d), counts[d.tag]) for d in suspects)
        tried = [d for d in suspects if _degree(d) == trial[0]]
        if trial[0] == ALONE:
            tried = [d for d in tried if counts[d.tag] == trial[1]][:1]
        tried = tried[:GROUP]
        return Sorted(tried, self._aside([d for d in deliveries if d not in tried], counts, now), trial)

    def aside(self, deliveries: Sequence[Delivery], now: datetime) -> Aside:
        """Put all of them back, with their suspicion raised where it is due."""
        return self._aside(deliveries, {delivery.tag: self._elsewhere(delivery) for delivery in deliveries}, now)

    def _aside(self, deliveries: Sequence[Delivery], counts: dict[int, int], now: datetime) -> Aside:
        messages: list[Message] = []
        dead: list[Envelope] = []
        for delivery in deliveries:
            if not _is_raised(delivery, counts[delivery.tag]):
                messages.append(again(delivery, queue=self._queue, message_id=next(self._ids)))
                continue
            for envelope in unpack(delivery, now, queue=self._queue):
                if envelope.kind == Kind.DEAD and self._queue not in PARKING:
                    dead.append(envelope)
                elif _degree(delivery) == ALONE:
                    dead.append(dead_envelope(envelope, reason=REASON, stage=self._queue))
                else:
                    messages.append(self._more_suspected(envelope, delivery))
        return Aside(settle=deliveries, messages=messages, dead=dead)

    def _more_suspected(self, envelope: Envelope, delivery: Delivery) -> Message:
        counted_here = not (self._queue in PARKING and DIED_IN in delivery.headers)
        degree = _degree(delivery) + counted_here
        return suspected(envelope, queue=self._queue, message_id=next(self._ids), suspicion=degree)

    def _elsewhere(self, delivery: Delivery) -> int:
        """How often it has been delivered, less the times that this process had it before and lived."""
        message_id = delivery.message_id
        before = self._survived.get(message_id) or self._survived_before.get(message_id, 0)
        self._survived[message_id] = before + 1
        if len(self._survived) >= REMEMBERED:
            self._survived, self._survived_before = {}, self._survived
        return max(delivery.deliveries - before, 1)


def _degree(delivery: Delivery) -> int:
    marked = delivery.headers.get(SUSPICION, 0)
    return min(max(marked, 0), ALONE) if isinstance(marked, int) else 0


def _is_raised(delivery: Delivery, count: int) -> bool:
    degree = _degree(delivery)
    return count > LAST_DELIVERY if degree == ALONE else count >= RAISED_AT[degree]
