"""Case d: from a call's last post to its call.completed downstream, at shares of the rate that the contender sustains.

The calls are whole with that post, so nobody waits for stragglers (`settle`). Posts come due by the clock. A tree
beside ours gets the rates of ours, and only the least, so that it is asked no more than it can do.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Final

from tests.bench.cases import job, jobs
from tests.bench.figures import Run, find, rows
from tests.bench.playing import guarded, in_turn
from tests.bench.theatre import Theatre

LOW: Final = 0.1
HALF: Final = 0.5
SHARES: Final = (LOW, HALF, 0.8)
CONTENDERS: Final = (*jobs.PLAIN.values(), jobs.FASTSTREAM[0])


def case(share: float) -> str:
    """Its name in the tables."""
    return f"latency at {share:.0%} of the maximum"


async def play(theatre: Theatre, played: Sequence[Run] = ()) -> AsyncIterator[Run]:
    """Each contender at each share of its own maximum, in turn; what was not played yet is found out first."""
    bases = [build for build in theatre.beside if build.root != theatre.ours.root]
    asked: list[tuple[float, jobs.Contender, float]] = []
    for contender in CONTENDERS:
        if not theatre.settings.wants(contender.name):
            continue
        rate = await _maximum(theatre, contender, played)
        if not rate:
            continue
        asked += [(share, contender, rate) for share in SHARES]
        store = contender.name.removeprefix(f"{jobs.NAME}, ")
        asked += [(LOW, other, rate) for other in jobs.plain(bases) if other.name.endswith(f", {store}")]
    plays = [partial(_play_at, theatre, *one) for one in sorted(asked, key=lambda one: one[0])]
    async for run in in_turn(theatre.settings.latency_rounds, plays):
        yield run


async def _play_at(theatre: Theatre, share: float, contender: jobs.Contender, maximum: float) -> Run:
    seconds = theatre.settings.latency_seconds
    playing = job.play_one(theatre, contender, kind="steps", seconds=seconds, rate=maximum * share, case=case(share))
    return await guarded(case(share), contender.name, playing)


async def _maximum(theatre: Theatre, contender: jobs.Contender, played: Sequence[Run]) -> float:
    """Notifications a second in case c (i); 0 when it cannot do the job at all."""
    if row := find(rows(played), job.CASES["steps"], contender.name):
        return row.rate.median
    playing = job.play_one(theatre, contender, kind="steps", seconds=theatre.settings.job_seconds)
    run = await guarded(case(1), contender.name, playing)
    return 0.0 if run.trouble else run.rate
