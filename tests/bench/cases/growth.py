"""Case e: what a notification costs when there is more of something: processes, sessions in the store, sinks.

The load is that of the job's case (i), equally much for all. What a store holds beforehand was put there by `seeding`
once, and every round goes on with that store. The figure to look at is CPU per notification; a rate says as much as
the machine has cores. A waiting backlog is case f.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from tests.bench.cases import job, jobs
from tests.bench.figures import Run
from tests.bench.playing import guarded, in_turn
from tests.bench.seeding import seed_postgresql, seed_sqlite
from tests.bench.theatre import Theatre, new_run

CASES: Final = {
    "processes": "growth: processes",
    "sessions": "growth: sessions in the store",
    "sinks": "growth: sinks",
}
PROCESSES: Final = (1, 2, 4)
SINKS: Final = (1, 8)
TEMPLATE_SECONDS: Final = 0.05


def holding(store: str, sessions: int) -> str:
    """What the tables call the contender whose store held so many."""
    return f"{store}, {sessions:,} sessions"


async def play(theatre: Theatre) -> AsyncIterator[Run]:
    """Every contender in turn, in each round."""
    filled: list[jobs.Contender] = []
    for store in STORES:
        for count in theatre.settings.sessions:
            if theatre.settings.wants(holding(store, count)):
                made = await guarded(CASES["sessions"], holding(store, count), _make(theatre, store, count, filled))
                if made.trouble:
                    yield made
    chosen = [
        *(("processes", contender) for contender in _with_processes()),
        *(("sessions", contender) for contender in filled),
        *(("sinks", contender) for contender in _with_sinks()),
    ]
    plays = [partial(_play_one, theatre, CASES[case], one) for case, one in chosen if theatre.settings.wants(one.name)]
    async for run in in_turn(theatre.settings.growth_rounds, plays):
        yield run


async def _play_one(theatre: Theatre, case: str, contender: jobs.Contender) -> Run:
    seconds = theatre.settings.growth_seconds
    playing = job.play_one(theatre, contender, kind="steps", seconds=seconds, case=case)
    run = await guarded(case, contender.name, playing)
    return replace(run, latency=None)  # of a queue that fills as fast as it can: says nothing


def _with_processes() -> Iterator[jobs.Contender]:
    for count in PROCESSES:
        name = f"PostgreSQL, {count} of each"
        yield jobs.ours(name, jobs.new_database, processes=count)


def _with_sinks() -> Iterator[jobs.Contender]:
    for count in SINKS:
        yield jobs.ours(f"SQLite, sinks: {count}", jobs.own_files, sinks=count)


async def _make(theatre: Theatre, store: str, count: int, made: list[jobs.Contender]) -> Run:
    """Add the contender whose store holds so many sessions; the run is of the few calls that were the template.

    Raises:
        Trouble: they could not be played, or not copied.
    """
    url = STORES[store](theatre)
    empty = jobs.ours("template", lambda _: url)
    run = await job.play_one(theatre, empty, kind="merged", seconds=TEMPLATE_SECONDS)
    began = time.monotonic()
    if store == "SQLite":
        await asyncio.to_thread(seed_sqlite, Path(url.removeprefix("sqlite:")), count)
    else:
        await seed_postgresql(url, count)
    print(f"{CASES['sessions']}: made {holding(store, count)} in {time.monotonic() - began:.0f} s", flush=True)
    contender = jobs.ours(holding(store, count), lambda _: url)
    made.append(replace(contender, setting=f"{contender.setting}; before: so many calls of one CDR, settled and sent"))
    return run


def _shared_files(theatre: Theatre) -> str:
    """SQLite, empty, where several runs find it."""
    return f"sqlite:{theatre.scratch(f'{new_run()}-state')}"


STORES: Final[Mapping[str, Callable[[Theatre], str]]] = {"SQLite": _shared_files, "PostgreSQL": jobs.new_database}
