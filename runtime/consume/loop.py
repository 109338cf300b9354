"""The consume loop: feeds one stage's handler from its queue, in batches.

A stage has one consumer, however many batches it works on at once: with several on one queue, the broker would hand
what one channel of a dying connection held to the next of the same connection, and count each as a failed delivery.
Unavailable holds the batch and stops consuming; a drain finishes what is buffered while the deadline allows and
gives back the rest, or all of it where it may only go slowly. While the far end of a sink is away, its events stay in
their queue, but for one at a time that probes it. The way of one batch is in `batches`, its end in
`settle`, the ticks are in `ticks`.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from typing import Final

from runtime import drain
from runtime.bench import Bench
from runtime.broker.base import Consumer, Delivery
from runtime.consume.batches import PAUSE_SECONDS, Batches
from runtime.consume.ramp import Ramp
from runtime.consume.retry_now import Recall, retry_now
from runtime.consume.ticks import Ticks
from runtime.consume.waiting import next_batch, stopped_within
from runtime.poison import Sorted, Suspects
from runtime.settle import Settler

PACE_SECONDS: Final = 0.02


class StageLoop:
    """One stage, running."""

    def __init__(self, bench: Bench) -> None:
        self.name = bench.spec.name
        self.spec = bench.spec
        self._bench = bench
        self._consumer: Consumer | None = None
        self._resting = False
        self._told_to_rest = False
        self._over = asyncio.Event()  # the subscription of now has to end
        self._wake = asyncio.Event()
        self._ramp = Ramp(time.monotonic)
        self._suspects = Suspects(queue=bench.spec.queue, message_ids=bench.message_ids)
        self._settler = Settler(bench)
        self._batches = Batches(bench, self._settler, self._ramp)
        self._ticks = Ticks(bench, self._settler)
        self._recall = Recall(bench, self._settler.put_off)

    @property
    def ready(self) -> bool:
        """Whether the last tick worked, no batch is held, not all it does fails, and it is subscribed or rests.

        And nothing is published in vain: so a missing exchange is told for as long as it is missing.
        """
        if self._settler.stuck:
            return False
        subscribed = self._consumer is not None and self._consumer.consuming
        working = self._ticks.working and not self._batches.held and not self._batches.failing
        return working and (self.paused or self.away or self._resting or subscribed)

    @property
    def paused(self) -> bool:
        """Whether it rests because its sink or an operator asked for that: ready, and nothing goes out."""
        return self._batches.paused or self._told_to_rest

    @property
    def away(self) -> bool:
        """Whether it holds because the far end of its sink is away: ready, and one event at a time goes out."""
        return self._batches.probe_in is not None

    @property
    def full(self) -> bool:
        """Whether it holds because the downstream queue that it feeds is full: ready, and the rest waits in its own."""
        return self._settler.full

    def pause(self) -> None:
        """Rest until `resume`: what is under way is finished or given back, and the queue keeps the rest."""
        self._told_to_rest = True
        self._bench.metrics.paused(1)
        self._over.set()

    def resume(self) -> None:
        """Go on, slowly at first; also where the sink asked for a rest that is not over; one that runs runs on.

        One whose far end is away is probed at once.
        """
        self._probe_now()
        if not self.paused:
            return
        self._told_to_rest = False
        self._batches.pause(0)
        self._ramp.begin()
        self._wake.set()

    def resumed(self, ago: float) -> None:
        """It went on so many seconds ago, in a process that has ended since: this one goes as slowly as that would."""
        self._ramp.begin(ago)

    def look_again(self) -> None:
        """Ask the sink again now, where it asked for a rest or is away."""
        self._probe_now()
        if self._batches.paused and not self._told_to_rest:
            self.resume()

    async def retry_now(self) -> int:
        """Have come at once what waits for it in any delay tier: how many messages.

        Raises:
            Unavailable: the broker is away; what did not go waits on.
        """
        return await retry_now(self._bench.broker, self.spec.queue, self._bench.message_ids)

    def _probe_now(self) -> None:
        if self.away:
            self._batches.probe_in = 0.0
            self._over.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Consume until `stopping`, then drain; returns when everything is settled or released."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._subscriptions(stopping), name=self.spec.name)
            tasks.create_task(self._end(stopping), name=f"{self.spec.name}.end")
            tasks.create_task(self._recall.run(stopping), name=f"{self.spec.name}.recall")
            if self._bench.stage.tick is not None:
                tasks.create_task(self._ticks.run(stopping), name=f"{self.spec.name}.tick")
        self._bench.metrics.ended()

    async def _end(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        self._over.set()
        self._wake.set()
        self._recall.begin()

    async def _subscriptions(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            if self.paused:
                await self._rest()
                continue
            self._over.clear()
            probe_in = self._batches.probe_in
            if probe_in is not None and await stopped_within(self._over, probe_in):
                continue
            prefetch = self.spec.prefetch if probe_in is None else 1
            async with self._bench.broker.consume(self.spec.queue, prefetch=prefetch) as consumer:
                self._consumer = consumer
                self._bench.metrics.subscribed()
                try:
                    await self._consume(consumer, stopping)
                finally:
                    self._consumer = None
            if probe_in is not None and not self.away:
                self._ramp.begin()
                self._recall.begin()
            if self._resting:
                await self._bench.trials.rest()
                self._resting = False
        if self._batches.paused:
            self._batches.pause(0)

    async def _rest(self) -> None:
        """Until somebody says so; a sink that asked for it is also asked again after a while."""
        self._wake.clear()
        await stopped_within(self._wake, math.inf if self._told_to_rest else PAUSE_SECONDS)
        if self._batches.paused and not self._told_to_rest:
            self._batches.pause(0)
            self._ramp.begin()

    async def _consume(self, consumer: Consumer, stopping: asyncio.Event) -> None:
        """Work until the end, or until it is better to subscribe again; then nothing is in hand."""
        trial, held = await self._work(consumer, self._over)
        if trial is not None:
            await self._batches.give_back(consumer, held)
            return await self._try(consumer, trial, self._over)
        if held or not stopping.is_set() or self._ramp.limits:
            return await self._batches.give_back(consumer, [*held, *await consumer.stop()])
        return await self._drain(consumer)

    async def _work(self, consumer: Consumer, stopping: asyncio.Event) -> tuple[Sorted | None, list[Delivery]]:
        """Until stopping, a trial that is due, or a batch that was held too long; the latter two are returned."""
        held: list[Delivery] = []
        given_up, idle = asyncio.Event(), asyncio.Semaphore(self.spec.at_once)
        next_at, probing = 0.0, self.away

        async def work_on(found: Sorted) -> None:
            if left := await self._batches.process(consumer, found, stopping):
                held.extend(left)
            if left or probing or self.away:
                given_up.set()
            idle.release()

        async with asyncio.TaskGroup() as hands:
            while True:
                await idle.acquire()
                await asyncio.sleep(max(next_at - time.monotonic(), 0))
                deliveries = await next_batch(consumer, self._ramp.most(self.spec.most), stopping, given_up)
                if deliveries is None:
                    return None, held
                events = sum(one.events for one in deliveries)
                full = consumer.buffered or events >= self.spec.most
                next_at = time.monotonic() + max(0.0 if full else PACE_SECONDS, self._ramp.pause(events))
                found = self._suspects.sort(deliveries, self._bench.clock())
                if found.trial is not None:
                    return found, held
                hands.create_task(work_on(found))

    async def _try(self, consumer: Consumer, found: Sorted, stopping: asyncio.Event) -> None:
        """Try suspects with nothing else in hand; then subscribe again."""
        assert found.trial is not None
        rest = self._suspects.aside(await consumer.stop(), self._bench.clock())
        for aside in (found.aside, rest):
            await self._batches.put_aside(consumer, aside)
        if not await self._bench.trials.begin(found.trial):
            self._resting = True
            return await self._batches.give_back(consumer, found.handle)
        try:
            return await self._batches.give_back(consumer, await self._batches.handle(consumer, found.handle, stopping))
        finally:
            self._bench.trials.end()

    async def _drain(self, consumer: Consumer) -> None:
        rest: Sequence[Delivery] = await consumer.stop()
        deadline = time.monotonic() + drain.STAGES
        stopped = asyncio.Event()
        stopped.set()
        while rest and time.monotonic() < deadline:
            batch, rest = rest[: self.spec.most], rest[self.spec.most :]
            found = self._suspects.sort(batch, self._bench.clock())
            if found.trial is not None:  # not in a hurry: they are put back as they are
                await self._batches.give_back(consumer, batch)
                continue
            if held := await self._batches.process(consumer, found, stopped):
                rest = [*held, *rest]
                break
        await self._batches.give_back(consumer, rest)
