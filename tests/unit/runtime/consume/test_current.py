"""A stage that is exchanged under batches that are under way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from runtime.consume.current import Current
from schemas.envelope import Envelope
from schemas.stage import Outcome, Stage


class Story:
    """Stages that wait for a word, and what they told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.go = asyncio.Event()

    def stage(self, name: str) -> tuple[Stage, AsyncExitStack]:
        async def handle(_: Sequence[Envelope]) -> Outcome:
            self.told.append(f"{name} begins")
            await self.go.wait()
            self.told.append(f"{name} ends")
            return []

        own = AsyncExitStack()
        own.callback(self.told.append, f"{name} is closed")
        return Stage(handle), own


async def test_a_batch_ends_with_the_stage_it_began_with_which_is_closed_after_the_last() -> None:
    story = Story()
    current = Current(*story.stage("old"))

    async def batch() -> None:
        await current.stage.handle([])

    batches = [asyncio.create_task(batch()) for _ in range(2)]
    await asyncio.sleep(0)
    await current.exchange(*story.stage("new"))
    batches.append(asyncio.create_task(batch()))
    await asyncio.sleep(0)
    story.go.set()
    await asyncio.gather(*batches)
    await current.close()
    assert story.told == [
        "old begins", "old begins", "new begins", "old ends", "old ends", "old is closed", "new ends", "new is closed",
    ]  # fmt: skip


async def test_one_that_nothing_is_with_is_closed_at_once() -> None:
    story = Story()
    current = Current(*story.stage("old"))
    await current.exchange(*story.stage("new"))
    assert story.told == ["old is closed"]


async def test_one_that_cannot_be_closed_fails_neither_its_last_batch_nor_the_exchange() -> None:
    story = Story()
    story.go.set()

    def fail() -> None:
        raise OSError

    def broken() -> tuple[Stage, AsyncExitStack]:
        stage, own = story.stage("broken")
        own.callback(fail)
        return stage, own

    current = Current(*broken())
    batch = asyncio.create_task(handled(current))
    await asyncio.sleep(0)
    story.go.clear()
    await current.exchange(*broken())
    await current.exchange(*story.stage("new"))
    story.go.set()
    await batch
    assert sorted(story.told) == ["broken begins", "broken ends", *2 * ["broken is closed"]]


async def handled(current: Current) -> None:
    await current.stage.handle([])
