"""A stage that works on several batches at once, over both brokers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from runtime.broker.base import Broker
from runtime.wire import suspected
from schemas.envelope import Envelope
from schemas.stage import Outcome, Stage
from schemas.topology import RECEIVED, UNIQUE
from tests.building.loops import IDS, an_envelope, is_empty, number, passed_on, read, running, send, until


class Slow:
    """Passes on what it is given, once it is let, and knows what is in hand."""

    def __init__(self) -> None:
        self.in_hand: set[int] = set()
        self.with_seven: set[int] = set()
        self.let = asyncio.Event()

    async def __call__(self, batch: Sequence[Envelope]) -> Outcome:
        self.in_hand |= {*map(number, batch)}
        if 7 in self.in_hand:
            self.with_seven |= self.in_hand
        await self.let.wait()
        await asyncio.sleep(0.01)
        self.in_hand -= {*map(number, batch)}
        return [passed_on(envelope) for envelope in batch]


async def test_a_stage_works_on_as_many_batches_at_once_as_it_may(stages: Broker) -> None:
    slow = Slow()
    await send(stages, [an_envelope(n) for n in range(10)], each_alone=True)
    async with running(stages, Stage(slow), most=1, at_once=3):
        await until(lambda: len(slow.in_hand) == 3)
        await asyncio.sleep(0.2)
        assert len(slow.in_hand) == 3
        slow.let.set()
        passed = await read(stages, UNIQUE, expected=10)
    assert {number(envelope) for envelope in passed} == {*range(10)}
    assert await is_empty(stages, RECEIVED)


async def test_a_suspect_is_tried_only_when_nothing_else_is_in_hand(stages: Broker) -> None:
    slow = Slow()
    suspect = suspected(an_envelope(7), queue=RECEIVED, message_id=next(IDS), suspicion=3)
    await send(stages, [an_envelope(n) for n in range(2)], each_alone=True)
    await stages.publish([suspect])
    async with running(stages, Stage(slow), most=1, at_once=4):
        await until(lambda: len(slow.in_hand) == 2)
        await asyncio.sleep(0.5)
        assert slow.in_hand == {0, 1}
        slow.let.set()
        await read(stages, UNIQUE, expected=3)
    assert slow.with_seven == {7}
