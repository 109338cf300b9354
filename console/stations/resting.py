"""Waiting until nobody is at work: whoever hears the word finishes what is in hand, closes, and is then gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from typing import Final

from console.stations.switchboard import Stand, Switchboard
from runtime import drain

LOOK_SECONDS: Final = 0.3
_LOOKS: Final = 2  # a subscription that is renewed at this moment is not counted in one of them
_SURE_LOOKS: Final = 4
_ENDING_SECONDS: Final = drain.PROCESS + 2 * drain.CUT_OFF

Tell = Callable[[str], None]


async def held_until_at_rest(
    board: Switchboard, names: Collection[str], seconds: float, *, tell: Tell
) -> Sequence[Stand]:
    """Those that are still at work after so many seconds, or that somebody let go on; `tell` hears of their number.

    Raises:
        Unavailable: see Switchboard.
    """
    deadline, quiet, told = time.monotonic() + seconds, 0, ""
    while True:
        left = [stand for stand in await board.stands(names, words=False) if not stand.rests]
        quiet = 0 if left else quiet + 1
        if quiet >= _LOOKS or (left and time.monotonic() > deadline):
            return left
        if any(stand.word is None for stand in left) and (gone := await let_go_of(board, names)):
            return gone
        news = ", ".join(f"{stand.name} {stand.at_work}" for stand in left)
        if news and news != told:
            tell(f"still at work: {news}")
        told = news
        await asyncio.sleep(LOOK_SECONDS)


async def let_go_of(board: Switchboard, names: Collection[str]) -> Sequence[Stand]:
    """Those of these that nobody holds any more; a word that is just read or passed on is not seen at one look.

    Raises:
        Unavailable: see Switchboard.
    """
    gone: Sequence[Stand] = []
    for _ in range(_SURE_LOOKS):
        gone = [stand for stand in await board.stands(names, words=False) if stand.word is None]
        names = [stand.name for stand in gone]
        if not gone:
            break
        await asyncio.sleep(LOOK_SECONDS)
    return gone


async def let_go(board: Switchboard, names: Collection[str], *, tell: Tell) -> None:
    """End a hold: once all who heard of it are closed, as one that has the word in hand would go on to pass it on.

    Raises:
        Unavailable: see Switchboard.
    """
    held: set[str] = set()
    for _ in range(_LOOKS):  # a word that is just passed on is not seen in one of them
        held |= {stand.name for stand in await board.stands(names, words=False) if stand.word is not None}
        await asyncio.sleep(LOOK_SECONDS)
    if held:
        await held_until_at_rest(board, held, _ENDING_SECONDS, tell=tell)
    for name in names:
        await board.release(name)
