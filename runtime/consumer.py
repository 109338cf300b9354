"""The consume loop: feeds one stage's handler from its queue, in batches, and lets `settle` finish each batch.

A stage has one consumer, however many batches it works on at once: with several on one queue, the broker would hand
what one channel of a dying connection held to the next of the same connection, and count each as a failed delivery.
Unavailable holds the batch and stops consuming; a drain finishes what is buffered while the deadline allows and
releases the rest.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from runtime.broker.base import Broker, Consumer, Delivery
from runtime.clock import Clock
from runtime.crash import CrashPoint, never
from runtime.isolate import run_isolated
from runtime.poison import QUIET_SECONDS, Aside, Sorted, Suspects, Trials
from runtime.settle import Settler, backoffs
from runtime.telemetry import StageMetrics
from runtime.verdict import Policy, reason_of
from runtime.waiting import next_batch, stopped_within
from runtime.wire import again, unpack
from schemas.envelope import Envelope, Kind
from schemas.errors import Paused, Unavailable
from schemas.stage import Failed, Stage
from schemas.topology import PARKING

log = structlog.get_logger()

TICK_SECONDS: Final = 1.0
PACE_SECONDS: Final = 0.02
DRAIN_SECONDS: Final = 12.0  # the process has 20 s in all (docs/design.md section 3), the door's 5 s included
FULL_TICK: Final = 500
HOLD_SECONDS: Final = 600.0  # well under the broker's ack timeout of 30 minutes (docs/notes/amqp.md trap 13)
PAUSE_SECONDS: Final = 900.0  # a sink that asked us to stop is asked again after this, and at each start


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSpec:
    """How a stage consumes: `prefetch` messages, at most `most` a batch, and `at_once` batches at the same time.

    Twice as many are prefetched as are worked on, so that the next batch is there when one is settled. A commit and a
    confirm cost the same for one message as for many: so a batch that is not full is followed by the next only
    PACE_SECONDS after it began, and a message that comes when nothing else does waits for nothing.
    """

    name: str
    queue: str
    policy: Policy
    prefetch: int = 32
    most: int = 16
    at_once: int = 1


class StageLoop:
    """One stage, running."""

    def __init__(
        self,
        *,
        spec: StageSpec,
        stage: Stage,
        broker: Broker,
        clock: Clock,
        message_ids: Iterator[str],
        metrics: StageMetrics,
        trials: Trials | None = None,
        crash: CrashPoint = never,
    ) -> None:
        self.spec = spec
        self._stage = stage
        self._broker = broker
        self._clock = clock
        self._ids = message_ids
        self._metrics = metrics
        self._crash = crash
        self._consumer: Consumer | None = None
        self._paused = False
        self._resting = False
        self._ticking = True
        self._held = False
        self._suspects = Suspects(queue=spec.queue, message_ids=message_ids)
        self._trials = trials or Trials()
        self._settler = Settler(
            name=spec.name,
            queue=spec.queue,
            stage=stage,
            policy=spec.policy,
            broker=broker,
            message_ids=message_ids,
            metrics=metrics,
            crash=crash,
        )

    @property
    def ready(self) -> bool:
        """Whether the last tick worked, no batch is held, and it is subscribed or rests for its own reason."""
        subscribed = self._consumer is not None and self._consumer.consuming
        return self._ticking and not self._held and (self._paused or self._resting or subscribed)

    async def run(self, stopping: asyncio.Event) -> None:
        """Consume until `stopping`, then drain; returns when everything is settled or released."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._subscriptions(stopping), name=self.spec.name)
            if self._stage.tick is not None:
                tasks.create_task(self._ticks(stopping), name=f"{self.spec.name}.tick")

    async def _subscriptions(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            async with self._broker.consume(self.spec.queue, prefetch=self.spec.prefetch) as consumer:
                self._consumer = consumer
                try:
                    await self._consume(consumer, stopping)
                finally:
                    self._consumer = None
            if self._paused:
                await stopped_within(stopping, PAUSE_SECONDS)
                self._paused = False
            if self._resting:
                await self._trials.rest()
                self._resting = False

    async def _consume(self, consumer: Consumer, stopping: asyncio.Event) -> None:
        """Work until stopping, or until it is better to subscribe again; then nothing is in hand."""
        trial, held = await self._work(consumer, stopping)
        if trial is not None:
            await self._give_back(consumer, held)
            return await self._try(consumer, trial, stopping)
        if held:
            return await self._give_back(consumer, [*held, *await consumer.stop()])
        return await self._drain(consumer)

    async def _work(self, consumer: Consumer, stopping: asyncio.Event) -> tuple[Sorted | None, list[Delivery]]:
        """Until stopping, a trial that is due, or a batch that was held too long; the latter two are returned."""
        held: list[Delivery] = []
        given_up, idle = asyncio.Event(), asyncio.Semaphore(self.spec.at_once)
        next_at = 0.0

        async def work_on(found: Sorted) -> None:
            if left := await self._process(consumer, found, stopping):
                held.extend(left)
                given_up.set()
            idle.release()

        async with asyncio.TaskGroup() as hands:
            while True:
                await idle.acquire()
                await asyncio.sleep(max(next_at - time.monotonic(), 0))
                deliveries = await next_batch(consumer, self.spec.most, stopping, given_up)
                if deliveries is None:
                    return None, held
                next_at = time.monotonic() + PACE_SECONDS if len(deliveries) < self.spec.most else 0.0
                found = self._suspects.sort(deliveries, self._clock())
                if found.trial is not None:
                    return found, held
                hands.create_task(work_on(found))

    async def _try(self, consumer: Consumer, found: Sorted, stopping: asyncio.Event) -> None:
        """Try suspects with nothing else in hand; then subscribe again."""
        assert found.trial is not None
        rest = self._suspects.aside(await consumer.stop(), self._clock())
        for aside in (found.aside, rest):
            await self._put_aside(consumer, aside)
        if not await self._trials.begin(found.trial):
            self._resting = True
            return await self._give_back(consumer, found.handle)
        try:
            return await self._give_back(consumer, await self._handle(consumer, found.handle, stopping))
        finally:
            self._trials.end()

    async def _process(self, consumer: Consumer, found: Sorted, stopping: asyncio.Event) -> Sequence[Delivery]:
        """Handle and settle one batch; returns what is still unsettled because it had to be held too long."""
        await self._put_aside(consumer, found.aside)
        if found.aside.settle:
            await asyncio.sleep(QUIET_SECONDS)  # a death before the acks arrive would leave the copies' originals too
        if not found.handle:
            return ()
        return await self._handle(consumer, found.handle, stopping)

    async def _put_aside(self, consumer: Consumer, aside: Aside) -> None:
        if not aside.settle:
            return
        log.warning("stage.suspects", stage=self.spec.name, put_back=len(aside.messages), dead=len(aside.dead))
        await self._settler.publish(aside.messages)
        await self._settler.settle(consumer, aside.settle, aside.dead)

    async def _handle(
        self, consumer: Consumer, deliveries: Sequence[Delivery], stopping: asyncio.Event
    ) -> Sequence[Delivery]:
        work, unreadable = self._unpacked(deliveries)
        self._crash("before_handle", work)
        outcome = await self._hold(work, stopping)
        if outcome is None:
            return deliveries
        self._crash("after_handle", work)
        await self._settler.settle(consumer, deliveries, [*unreadable, *outcome], work=work)
        return ()

    def _unpacked(self, deliveries: Sequence[Delivery]) -> tuple[list[Envelope], list[Envelope]]:
        """The envelopes for the handler, and dead letters for what nobody can read; park reads dead letters too."""
        now, queue = self._clock(), self.spec.queue
        envelopes = [envelope for delivery in deliveries for envelope in unpack(delivery, now, queue=queue)]
        if queue in PARKING:
            return envelopes, []
        unreadable = [envelope for envelope in envelopes if envelope.kind == Kind.DEAD]
        return [envelope for envelope in envelopes if envelope.kind != Kind.DEAD], unreadable

    async def _hold(self, envelopes: Sequence[Envelope], stopping: asyncio.Event) -> list[Envelope | Failed] | None:
        """Run the handler; while something of ours is away, wait and run it again on the same batch."""
        waiting, since = backoffs(), time.monotonic()
        while True:
            started = time.perf_counter()
            try:
                outcome = await run_isolated(self._stage.handle, envelopes)
            except Paused as error:
                log.error("stage.paused", stage=self.spec.name, seconds=PAUSE_SECONDS, reason=reason_of(error))
                self._paused = True
                return None
            except Unavailable as error:
                self._held = True
                self._metrics.held(1)
                log.warning("stage.held", stage=self.spec.name, envelopes=len(envelopes), reason=reason_of(error))
            else:
                self._held = False
                self._metrics.held(0)
                self._metrics.handled(len(envelopes), time.perf_counter() - started)
                return outcome
            if time.monotonic() - since > HOLD_SECONDS or await stopped_within(stopping, next(waiting)):
                return None

    async def _give_back(self, consumer: Consumer, deliveries: Sequence[Delivery]) -> None:
        """Settle what is not done by a copy at the end of the queue, with a delivery count that starts again.

        A release counts as a delivery: an outage of a day, or a few restarts during one, would use up the delivery
        limit of healthy messages. A long hold would also run into the broker's ack timeout. Release is the last resort.
        """
        if not deliveries:
            return None
        try:
            await self._broker.publish(
                [again(delivery, queue=self.spec.queue, message_id=next(self._ids)) for delivery in deliveries]
            )
        except Unavailable as error:
            log.warning("stage.released", stage=self.spec.name, messages=len(deliveries), reason=reason_of(error))
            return await consumer.release(deliveries)
        return await consumer.ack(deliveries)

    async def _drain(self, consumer: Consumer) -> None:
        rest: Sequence[Delivery] = await consumer.stop()
        deadline = time.monotonic() + DRAIN_SECONDS
        stopped = asyncio.Event()
        stopped.set()
        while rest and time.monotonic() < deadline:
            batch, rest = rest[: self.spec.most], rest[self.spec.most :]
            found = self._suspects.sort(batch, self._clock())
            if found.trial is not None:  # not in a hurry: they are put back as they are
                await self._give_back(consumer, batch)
                continue
            if held := await self._process(consumer, found, stopped):
                rest = [*held, *rest]
                break
        await self._give_back(consumer, rest)

    async def _ticks(self, stopping: asyncio.Event) -> None:
        """Once a second, and at once again while a tick brings as much as it may (a sweep that is behind)."""
        while True:
            brought = await self._tick()
            if await stopped_within(stopping, 0 if brought >= FULL_TICK else TICK_SECONDS):
                return

    async def _tick(self) -> int:
        assert self._stage.tick is not None
        try:
            envelopes = await self._stage.tick(self._clock())
            if envelopes:
                self._crash("after_handle", envelopes)
                await self._settler.send(envelopes, work=envelopes)
        except Unavailable as error:
            log.warning("stage.tick_held", stage=self.spec.name, reason=reason_of(error))
        except Exception as error:  # noqa: BLE001 - a tick that fails must not end the stage; the next one comes
            self._metrics.tick_failed()
            log.error("stage.tick_failed", stage=self.spec.name, reason=reason_of(error))
        else:
            self._ticking = True
            return len(envelopes)
        self._ticking = False
        return 0
