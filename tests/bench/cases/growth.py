"""Case e: what a notification costs when there is more of something: processes, sessions in the store, sinks.

The load is that of the job's case (i), equally much for all. What a store holds beforehand was put there by `seeding`
once, and every round goes on with that store. The figure to look at is CPU per notification; a rate says as much as
the machine has cores. A waiting backlog is case f.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from tests.bench.cases import job
from tests.bench.figures import Run
from tests.bench.playing import guarded
from tests.bench.report import CostGoal
from tests.bench.seeding import seed_postgresql, seed_sqlite
from tests.bench.settings import Settings
from tests.bench.theatre import Theatre, new_run

CASES: Final = {
    "processes": "growth: processes",
    "sessions": "growth: sessions in the store",
    "sinks": "growth: sinks",
}
PROCESSES: Final = (1, 2, 4)
SINKS: Final = (1, 8)
EXPECTED: Final = {"steps": 1500, "merged": 2500}
TEMPLATE_SECONDS: Final = 0.05
MOST: Final = 1.15  # CPU per notification, from the smallest store to the largest


def goals(settings: Settings) -> Sequence[CostGoal]:
    """What a notification may cost with the most sessions, against the fewest."""
    fewest, most = min(settings.sessions), max(settings.sessions)
    return [
        CostGoal(case=CASES["sessions"], of=_holding(store, most), to=_holding(store, fewest), most=MOST)
        for store in STORES
    ]


async def play(theatre: Theatre) -> AsyncIterator[Run]:
    """Every contender in turn, in each round."""
    holding: list[job.Contender] = []
    for store in STORES:
        for count in theatre.settings.sessions:
            if theatre.settings.wants(_holding(store, count)):
                made = await guarded(CASES["sessions"], _holding(store, count), _make(theatre, store, count, holding))
                if made.trouble:
                    yield made
    chosen = [
        *(("processes", contender) for contender in _with_processes()),
        *(("sessions", contender) for contender in holding),
        *(("sinks", contender) for contender in _with_sinks()),
    ]
    for _ in range(theatre.settings.growth_rounds):
        for case, contender in chosen:
            if theatre.settings.wants(contender.name):
                yield await _play_one(theatre, CASES[case], contender)


async def _play_one(theatre: Theatre, case: str, contender: job.Contender) -> Run:
    seconds = theatre.settings.growth_seconds
    playing = job.play_one(theatre, contender, kind="steps", seconds=seconds, case=case)
    run = await guarded(case, contender.name, playing)
    return replace(run, latency=None)  # of a queue that fills as fast as it can: says nothing


def _with_processes() -> Iterator[job.Contender]:
    for count in PROCESSES:
        name = f"PostgreSQL, {count} of each"
        yield job.ours(name, job.new_database, expected=EXPECTED, processes=count)


def _with_sinks() -> Iterator[job.Contender]:
    for count in SINKS:
        yield job.ours(f"SQLite, sinks: {count}", job.own_files, expected=EXPECTED, sinks=count)


async def _make(theatre: Theatre, store: str, count: int, made: list[job.Contender]) -> Run:
    """Add the contender whose store holds so many sessions; the run is of the few calls that were the template.

    Raises:
        Trouble: they could not be played, or not copied.
    """
    url = STORES[store](theatre)
    empty = job.ours("template", lambda _: url, expected=EXPECTED)
    run = await job.play_one(theatre, empty, kind="merged", seconds=TEMPLATE_SECONDS)
    began = time.monotonic()
    if store == "SQLite":
        await asyncio.to_thread(seed_sqlite, Path(url.removeprefix("sqlite:")), count)
    else:
        await seed_postgresql(url, count)
    print(f"{CASES['sessions']}: made {_holding(store, count)} in {time.monotonic() - began:.0f} s", flush=True)
    contender = job.ours(_holding(store, count), lambda _: url, expected=EXPECTED)
    made.append(replace(contender, setting=f"{contender.setting}; before: so many calls of one CDR, settled and sent"))
    return run


def _holding(store: str, sessions: int) -> str:
    return f"{store}, {sessions:,} sessions"


def _shared_files(theatre: Theatre) -> str:
    """SQLite, empty, where several runs find it."""
    return f"sqlite:{theatre.scratch(f'{new_run()}-state')}"


STORES: Final[Mapping[str, Callable[[Theatre], str]]] = {"SQLite": _shared_files, "PostgreSQL": job.new_database}
