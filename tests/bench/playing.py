"""How every case plays: the best setting of each contender first, and no run that went wrong ends the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from runtime.verdict import reason_of
from schemas.errors import CallstitchError
from tests.bench.contender import Trouble
from tests.bench.figures import Run
from tests.bench.theatre import Theatre
from tests.services import debian


class InOneSetting(Protocol):
    """A contender in one of the settings that its documentation offers."""

    @property
    def name(self) -> str:
        """What the tables call it."""
        ...

    @property
    def setting(self) -> str:
        """In the words of its documentation."""
        ...


C = TypeVar("C", bound=InOneSetting)


async def best(theatre: Theatre, case: str, row: Sequence[C], play: Callable[[C], Awaitable[Run]]) -> C:
    """The setting in which this contender does best alone; the first one where nothing is to be tried."""
    if len(row) == 1 or theatre.settings.quick or not theatre.settings.tune:
        return row[0]
    rates = []
    for contender in row:
        run = await guarded(case, contender.name, play(contender))
        print(f"{case}: alone, {contender.name} with {contender.setting}: {run.rate:,.0f}/s {run.trouble or ''}")
        rates.append(0.0 if run.trouble else run.rate)
    return row[rates.index(max(rates))]


async def in_turn(rounds: int, plays: Iterable[Callable[[], Awaitable[Run]]]) -> AsyncIterator[Run]:
    """Each once a round, the other way round in every second one; what could not be played at all is left out."""
    left = list(plays)
    for number in range(rounds):
        for play in list(reversed(left) if number % 2 else left):
            run = await play()
            if not run.played:
                left.remove(play)
            yield run


async def guarded(case: str, contender: str, playing: Awaitable[Run]) -> Run:
    """The run, or one that does not count and says why."""
    try:
        return await playing
    except (Trouble, debian.Missing, TimeoutError, OSError) as error:
        trouble = str(error) or type(error).__name__
    except CallstitchError as error:
        trouble = reason_of(error)
    await asyncio.sleep(1)
    return Run(case=case, contender=contender, count=0, seconds=1, trouble=trouble)
