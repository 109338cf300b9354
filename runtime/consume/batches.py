"""The way of one batch: suspects aside, the handler, a hold while something of ours is away, and its settling."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from runtime.bench import Bench
from runtime.broker.base import Consumer, Delivery
from runtime.consume.age import oldest_age
from runtime.consume.ramp import Ramp
from runtime.consume.waiting import stopped_within
from runtime.events.room import HOLD_SECONDS
from runtime.isolate import run_isolated
from runtime.poison import QUIET_SECONDS, Aside, Sorted
from runtime.settle import Settler, backoffs
from runtime.verdict import reason_of
from runtime.wire import SUSPICION, again, unpack
from schemas.envelope import Envelope, Kind
from schemas.errors import Away, CallstitchError, Paused, Refused, Unavailable
from schemas.stage import Failed, Handler
from schemas.topology import PARKING

log = structlog.get_logger()

FAILING_AFTER: Final = 3  # independent envelopes, and nothing else in between: that is no fault of any one of them
FAILING_FOR: Final = timedelta(seconds=60)  # after the last failure: who is not ready may get nothing that could work
PAUSE_SECONDS: Final = 900.0  # a sink that asked us to stop is asked again after this, and at each start


class Batches:
    """Takes one batch after another to its end.

    `held` while something of ours is away, `paused` once a sink asked us to stop. `probe_in`: the seconds from one
    probe to the next while the far end of a sink is away, else None.
    """

    def __init__(self, bench: Bench, settler: Settler, ramp: Ramp) -> None:
        self._bench = bench
        self._name = bench.spec.name
        self._settler = settler
        self._ramp = ramp
        self.held = False
        self.paused = False
        self.probe_in: float | None = None
        self._away_since = 0.0
        self._failed: set[str] = set()
        self._failed_at = datetime.min.replace(tzinfo=UTC)

    @property
    def failing(self) -> bool:
        """Whether all it has worked on lately ended in an exception that nobody planned for."""
        return len(self._failed) >= FAILING_AFTER and self._bench.clock() - self._failed_at < FAILING_FOR

    def pause(self, paused: int) -> None:
        """Begin to rest, or end it; what is held meanwhile goes back to the queue."""
        self.paused = bool(paused)
        self._bench.metrics.paused(paused)

    async def process(self, consumer: Consumer, found: Sorted, stopping: asyncio.Event) -> Sequence[Delivery]:
        """Handle and settle one batch; returns what is still unsettled because it had to be held too long."""
        await self.put_aside(consumer, found.aside)
        if found.aside.settle:
            await asyncio.sleep(QUIET_SECONDS)  # a death before the acks arrive would leave the copies' originals too
        if not found.handle:
            return ()
        return await self.handle(consumer, found.handle, stopping)

    async def put_aside(self, consumer: Consumer, aside: Aside) -> None:
        """Publish the copies and dead letters of suspects, then ack their originals."""
        if not aside.settle:
            return
        log.warning("stage.suspects", stage=self._name, put_back=len(aside.messages), dead=len(aside.dead))
        await self._settler.publish(aside.messages)
        await self._settler.settle(consumer, aside.settle, aside.dead)

    async def handle(
        self, consumer: Consumer, deliveries: Sequence[Delivery], stopping: asyncio.Event
    ) -> Sequence[Delivery]:
        """Run the handler and settle what follows; returns all of it if it had to be held too long."""
        envelopes, unreadable, age = self._unpacked(deliveries)
        metrics = self._bench.metrics
        taken = metrics.took(len(envelopes) + len(unreadable), age)
        try:
            with self._bench.tracing.handling(self._name, envelopes) as batch:
                work = batch.work
                self._bench.crash("before_handle", work)
                outcome = await self._hold(self._handler(deliveries), work, stopping)
                if outcome is None:
                    return deliveries
                self._bench.crash("after_handle", work)
                batch.handled(outcome)
                ended = [*unreadable, *outcome]
                await self._settler.settle(consumer, deliveries, ended, work=work, stopping=stopping)
            metrics.settled(taken)
            return ()
        finally:
            metrics.left(taken)

    def _handler(self, deliveries: Sequence[Delivery]) -> Handler:
        stage = self._bench.stage
        if stage.careful is not None and any(d.deliveries > 1 or SUSPICION in d.headers for d in deliveries):
            return stage.careful
        return stage.handle

    def _unpacked(self, deliveries: Sequence[Delivery]) -> tuple[list[Envelope], list[Envelope], float]:
        """The envelopes for the handler, dead letters for what nobody can read, and how many seconds old the oldest is.

        Park reads dead letters too, and what comes to it may be of any age.
        """
        now, queue = self._bench.clock(), self._bench.spec.queue
        each = [unpack(delivery, now, queue=queue) for delivery in deliveries]
        envelopes = [envelope for found in each for envelope in found]
        if queue in PARKING:
            return envelopes, [], 0.0
        unreadable = [envelope for envelope in envelopes if envelope.kind == Kind.DEAD]
        age = oldest_age([found[0] for found in each], now)
        return [envelope for envelope in envelopes if envelope.kind != Kind.DEAD], unreadable, age

    async def _hold(
        self, handle: Handler, envelopes: Sequence[Envelope], stopping: asyncio.Event
    ) -> list[Envelope | Failed] | None:
        """Run the handler on all of them, on a few at a time where it may only go slowly; None if that is not possible.

        While something of ours is away, wait and run it again on the same ones.
        """
        done: list[Envelope | Failed] = []
        rest = envelopes
        while True:
            some = rest[: self._ramp.most(max(len(rest), 1))]
            outcome = await self._hold_some(handle, some, stopping)
            if outcome is None:
                return None
            done += outcome
            rest = rest[len(some) :]
            if len(some) < len(envelopes) and await stopped_within(stopping, self._ramp.pause(len(some))) and rest:
                return None
            if not rest:
                return done

    async def _hold_some(
        self, handle: Handler, envelopes: Sequence[Envelope], stopping: asyncio.Event
    ) -> list[Envelope | Failed] | None:
        waiting, since = backoffs(), time.monotonic()
        while True:
            started = time.perf_counter()
            try:
                outcome = await run_isolated(handle, envelopes)
            except Paused as error:
                log.error("stage.paused", stage=self._name, seconds=PAUSE_SECONDS, reason=reason_of(error))
                self.pause(1)
                return None
            except Unavailable as error:
                self.held = True
                self._bench.metrics.held(1)
                log.warning("stage.held", stage=self._name, envelopes=len(envelopes), reason=reason_of(error))
            else:
                self.held = False
                self._bench.metrics.held(0)
                self._bench.metrics.handled(len(envelopes), time.perf_counter() - started)
                self._judge(outcome, len(envelopes))
                self._see_far_end(outcome)
                return outcome
            if time.monotonic() - since > HOLD_SECONDS or await stopped_within(stopping, next(waiting)):
                return None

    def _judge(self, outcome: Sequence[Envelope | Failed], envelopes: int) -> None:
        """Remember what failed since the last envelope that did not; what a stage foresaw is its daily work."""
        failed = [one for one in outcome if isinstance(one, Failed) and not isinstance(one.error, CallstitchError)]
        if len(failed) < envelopes:
            self._failed.clear()
        elif failed:
            self._failed_at = self._bench.clock()
            if len(self._failed) < FAILING_AFTER:
                self._failed.update(one.envelope.id for one in failed[:FAILING_AFTER])

    def _see_far_end(self, outcome: Sequence[Envelope | Failed]) -> None:
        """Whether it is away, as the sink says; a batch of which it says nothing of the kind went out."""
        away = next((o.error for o in outcome if isinstance(o, Failed) and isinstance(o.error, Away)), None)
        if away is not None and self.probe_in is None:
            self._away_since = time.monotonic()
            self._bench.metrics.away(1)
            log.error("stage.away", stage=self._name, reason=reason_of(away), probe_seconds=round(away.seconds, 1))
        elif away is None and self.probe_in is not None:
            self._bench.metrics.away(0)
            log.info("stage.back", stage=self._name, seconds=round(time.monotonic() - self._away_since, 1))
        self.probe_in = None if away is None else away.seconds

    async def give_back(self, consumer: Consumer, deliveries: Sequence[Delivery]) -> None:
        """Settle what is not done by a copy at the end of the queue, with a delivery count that starts again.

        A release counts as a delivery: an outage of a day, or a few restarts during one, would use up the delivery
        limit of healthy messages. A long hold would also run into the broker's ack timeout. Release is the last resort.
        """
        if deliveries:
            await self._put_back(consumer, deliveries)
            self.held = False
            self._bench.metrics.held(0)

    async def _put_back(self, consumer: Consumer, deliveries: Sequence[Delivery]) -> None:
        queue, ids = self._bench.spec.queue, self._bench.message_ids
        copies = {next(ids): delivery for delivery in deliveries}
        try:
            await self._bench.broker.publish([again(d, queue=queue, message_id=copy) for copy, d in copies.items()])
        except Unavailable as error:
            log.warning("stage.released", stage=self._name, messages=len(deliveries), reason=reason_of(error))
            return await consumer.release(deliveries)
        except Refused as error:  # a lone event grows as a bundle of one
            stored = copies.keys() - error.message_ids - error.open_ids
            log.warning("stage.released", stage=self._name, messages=len(copies) - len(stored), reason=reason_of(error))
            await consumer.release([delivery for copy, delivery in copies.items() if copy not in stored])
            return await consumer.ack([delivery for copy, delivery in copies.items() if copy in stored])
        return await consumer.ack(deliveries)
