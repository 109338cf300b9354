"""Case c: the whole job, from the first post to the last event on a downstream queue.

(i) calls of five events and one CDR in single posts, progress events on; (ii) CDRs merged 50 a post, from a source
without call events. The rate counts notifications: posts in (i), CDRs in (ii). A run counts when each call that was
sent has its call.completed downstream and each of its events its call.progress. Bare aiohttp is played in each round:
its CPU for a request is the measure of ours.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from tests.bench.bodies import STEPS
from tests.bench.cases import ingest
from tests.bench.cases.jobs import CONTENDERS, Contender, Opened, plain
from tests.bench.contender import Processes, processes
from tests.bench.downstream import arrivals
from tests.bench.figures import Run, latency
from tests.bench.metering import Meter
from tests.bench.playing import best, guarded, in_turn
from tests.bench.posting import Order
from tests.bench.settings import CONNECTIONS
from tests.bench.theatre import Theatre, new_run

CASES: Final = {"steps": "job (i), single posts", "merged": "job (ii), 50 CDRs a post"}
LEAST_CALLS: Final = 100
LEAST_PACED: Final = 20


async def play_one(
    theatre: Theatre, contender: Contender, *, kind: str, seconds: float, rate: float = 0.0, case: str = ""
) -> Run:
    """One run: about as many seconds of load as fast as it goes, or at `rate` posts a second.

    Raises:
        Trouble: it could not be played.
    """
    run, calls = new_run(), _calls(contender, kind, seconds, rate)
    stamps = theatre.directory / "stamps"
    async with _open(theatre, contender, kind) as (found, opened):
        order = Order(
            port=opened.port,
            path=opened.path,
            kind=kind,
            run=run,
            calls=calls,
            connections=CONNECTIONS,
            rate=rate,
            stamps=str(stamps),
        )
        seen = arrivals(kind, run=run, calls=calls)
        meter = Meter(theatre, found, store=contender.cluster)
        posting = asyncio.ensure_future(theatre.post(order))
        watching = asyncio.ensure_future(opened.watch(seen, posting.done))
        try:
            report = await posting
            await watching
        finally:
            watching.cancel()
        used = meter.used(generator=report.cpu)
        found.check()
    refused = f"{report.refused} posts were refused" if report.refused else None
    return Run(
        case=case or CASES[kind],
        contender=contender.name,
        count=calls * len(STEPS) if kind == "steps" else calls,
        seconds=max(seen.last, report.ended) - report.began,
        used=used,
        latency=latency(seen.milliseconds(_read(stamps))),
        trouble=refused or seen.trouble,
        setting=contender.setting,
        note="some calls were amended" if seen.amended else "",
    )


def _calls(contender: Contender, kind: str, seconds: float, rate: float) -> int:
    a_second = rate or contender.expected[kind]
    return max(LEAST_PACED if rate else LEAST_CALLS, round(a_second * seconds / (len(STEPS) if kind == "steps" else 1)))


def _read(path: Path) -> array[float]:
    found = array("d")
    found.frombytes(path.read_bytes())
    return found


@asynccontextmanager
async def _open(theatre: Theatre, contender: Contender, kind: str) -> AsyncIterator[tuple[Processes, Opened]]:
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(theatre.vhost())
        found = stack.enter_context(processes(theatre.run_directory()))
        yield found, await contender.open(theatre, found, url, kind)


async def play(theatre: Theatre) -> AsyncIterator[Run]:
    """Every contender in turn, in each round, both kinds of traffic, and bare aiohttp first."""
    seconds = theatre.settings.job_seconds
    chosen = [
        await best(theatre, CASES["steps"], row, lambda one: play_one(theatre, one, kind="steps", seconds=seconds / 2))
        for row in [*((one,) for one in plain(theatre.beside)), *CONTENDERS]
        if theatre.settings.wants(row[0].name)
    ]
    expected = {one.name: dict(one.expected) for one in chosen}

    async def play_kind(kind: str, one: Contender) -> Run:
        playing = play_one(theatre, replace(one, expected=expected[one.name]), kind=kind, seconds=seconds)
        run = await guarded(CASES[kind], one.name, playing)
        if not run.trouble:
            expected[one.name][kind] = round(run.rate)  # so that its next run lasts as long as it should
        return replace(run, latency=None)  # of a queue that fills as fast as it can: says nothing

    bare = [partial(ingest.play, theatre, one) for one in ingest.bares(theatre)]
    plays = [*bare, *(partial(play_kind, kind, one) for kind in CASES for one in chosen)]
    async for run in in_turn(theatre.settings.rounds, plays):
        yield run
