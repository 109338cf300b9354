"""Close the doors, wait until every queue is empty, hold the stages in order, and see that all is empty still.

RabbitMQ tells what is ready in a queue and not what a consumer has in hand. So stages that look idle are held: then
they have finished that, or given it back, where it is seen. If anything was given back, or came of it, the stages go
on, and the queues have to look empty for twice as long before the next try, which gives a long download its time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from console.draining.ways import TIERS, full_of, told
from console.stations.resting import held_until_at_rest, let_go_of
from console.stations.switchboard import Stand, Switchboard, Waiting
from runtime.hold.word import Word
from schemas.errors import CallstitchError
from schemas.topology import HOLDABLE, INGEST, SWITCHES

LOOK_SECONDS: Final = 0.5
TELL_SECONDS: Final = 5.0
_WORDS: Final = 3  # looks for a word that another has in hand

Tell = Callable[[str], None]


class NotDrained(CallstitchError):
    """It could not be done, or not in time."""


class Drain:
    """One drain; `held` is what it has held so far, or found held by another drain, `word` what it says.

    The queues have to look empty for `quiet` seconds: for as long as calls wait to be told.
    """

    def __init__(
        self, board: Switchboard, word: Word, queues: Sequence[str], *, quiet: float, seconds: float, tell: Tell
    ) -> None:
        self.held: list[str] = []
        self._board, self._word = board, word
        self._queues = queues
        self._quiet = quiet
        self._seconds = seconds
        self._tell = tell
        self._deadline = time.monotonic() + seconds
        self._told: tuple[float, str] = (0.0, "")

    async def run(self) -> None:
        """Until nothing is under way, and everything is held.

        Raises:
            NotDrained: somebody holds a stage, or let one go; or the time is over.
            Unavailable: the broker is away.
        """
        await self._begin()
        quiet = self._quiet
        while True:
            await self._emptied(quiet)
            await self._hold(*HOLDABLE)
            left = await self._left()
            gone = await let_go_of(self._board, SWITCHES)
            if not left and not gone:
                return
            self._tell(f"came back: {told(left)}" if left else f"somebody let {gone[0].name} go on")
            await self._let_stages_go()
            quiet *= 2

    async def _begin(self) -> None:
        stands = await words_of(self._board)
        for stand in stands:
            if stand.word is None:
                continue
            if not stand.word.drain and stand.name != INGEST:
                raise NotDrained(f"{stand.name} is held {stand.word}: first `callstitch hold {stand.name} --end`")
            self.held.append(stand.name)
        if before := next((stand.word for stand in stands if stand.word and stand.word.drain), None):
            self._tell(f"a drain was begun {before}: going on with it")
        await self._hold(INGEST)
        if set(HOLDABLE) & set(self.held) and await self._left():
            await self._let_stages_go()

    async def _hold(self, *names: str) -> None:
        for name in names:
            await self._board.hold(name, self._word)
            if name not in self.held:
                self.held.append(name)
        seconds = self._deadline - time.monotonic()
        for stand in await held_until_at_rest(self._board, names, seconds, tell=self._tell):
            if stand.word is None:
                raise NotDrained(f"somebody let {stand.name} go on")
            raise NotDrained(f"{stand.name}: {stand.at_work} process(es) still at work after {self._seconds:g} s")

    async def _let_stages_go(self) -> None:
        for name in HOLDABLE:
            if name in self.held:
                await self._board.release(name)
                self.held.remove(name)

    async def _emptied(self, quiet: float) -> None:
        """Wait until the queues have looked empty for so long."""
        since = time.monotonic()
        while True:
            if await let_go_of(self._board, [INGEST]):
                self.held.remove(INGEST)
                raise NotDrained("somebody opened the doors again")
            full = full_of(await self._board.waiting(self._queues))
            now = time.monotonic()
            since = now if full else since
            if now - since >= quiet:
                return
            if now > self._deadline:
                raise NotDrained(f"after {self._seconds:g} s there is still: {told(full)}{_hint(full)}")
            self._tell_waiting(full, now)
            await asyncio.sleep(LOOK_SECONDS)

    def _tell_waiting(self, full: Mapping[str, Waiting], now: float) -> None:
        last, before = self._told
        if full and (news := told(full)) != before and now - last >= TELL_SECONDS:
            self._told = (now, news)
            self._tell(f"waiting for: {news}")

    async def _left(self) -> dict[str, Waiting]:
        """What is there now; twice, as a message that is just moved from a delay tier is in neither queue."""
        left = full_of(await self._board.waiting(self._queues))
        if not left:
            await asyncio.sleep(LOOK_SECONDS)
            left = full_of(await self._board.waiting(self._queues))
        return left


async def words_of(board: Switchboard) -> Sequence[Stand]:
    """How all switches stand, with who said so, even where the word is just in another's hands.

    Raises:
        Unavailable: the broker is away.
    """
    for _ in range(_WORDS):
        stands = await board.stands(SWITCHES)
        if all(stand.word is None or stand.word.since for stand in stands):
            break
    return stands


def _hint(full: Mapping[str, Waiting]) -> str:
    if not full.keys() & TIERS:
        return ""
    return "; what waits in a delay tier for a sink is tried now by `callstitch sink retry NAME`"
