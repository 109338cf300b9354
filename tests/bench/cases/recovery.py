"""Case f: CDRs wait in `received`, as after an outage of the stages; the time until all are downstream.

They were put there in bundles as a busy door makes them. The clock runs from the start of dedupe's process to the last
event. Smaller backlogs are played for the sake of memory, which must not grow with what waits: their rates hold the
start of a process.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final

from schemas.envelope import BUNDLE_CONTENT_TYPE
from schemas.topology import RECEIVED
from tests.bench import queues
from tests.bench.bodies import Posts
from tests.bench.bundles import bundles
from tests.bench.cases import jobs
from tests.bench.contender import processes
from tests.bench.downstream import arrivals, watch_queue
from tests.bench.figures import Run
from tests.bench.metering import Meter
from tests.bench.ours import DOWNSTREAM, SOURCE, Ours
from tests.bench.playing import guarded
from tests.bench.theatre import Theatre, new_run

CASE: Final = "recovery of a backlog"
BUNDLE: Final = 64
SHARES: Final = (0.01, 1.0)  # of the backlog that is asked for


async def play(theatre: Theatre) -> AsyncIterator[Run]:
    """Each store with each backlog, once: what is asked is memory, and the largest takes minutes."""
    for share in SHARES:
        for store, url_of in jobs.STORES.items():
            count = max(BUNDLE, round(theatre.settings.backlog * share))
            name = waiting(store, count)
            if theatre.settings.wants(name):
                yield await guarded(CASE, name, play_one(theatre, name, url_of, count=count))


def waiting(store: str, count: int) -> str:
    """What the tables call the contender in front of which so many waited."""
    return f"{store}, {count:,} CDRs wait"


async def play_one(theatre: Theatre, name: str, url_of: jobs.Store, *, count: int) -> Run:
    """One run.

    Raises:
        Trouble: it could not be played.
    """
    run = new_run()
    async with theatre.vhost() as url:
        with processes(theatre.run_directory()) as found:
            ours = Ours(processes=found, broker=url, store=url_of(theatre), build=theatre.ours, merged=True)
            await ours.declare()
            filled = await _fill(url, run, count)
            await ours.start("correlate", "work", "correlate")
            seen = arrivals("cdrs", run=run, calls=count)
            meter, began = Meter(theatre, found, store="PostgreSQL" in name), time.monotonic()
            watching = asyncio.ensure_future(watch_queue(url, DOWNSTREAM, seen, lambda: True))
            try:
                await ours.start("dedupe", "work", "dedupe")
                await watching
            finally:
                watching.cancel()
            used = meter.used()
            found.check()
    return Run(
        case=CASE,
        contender=name,
        count=count,
        seconds=seen.last - began,
        used=used,
        trouble=seen.trouble,
        setting=f"one process each: dedupe, correlate; bundles of {BUNDLE}",
        note=f"put there in {filled:.0f} s, drained in {seen.last - began:.0f} s",
    )


async def _fill(url: str, run: str, count: int) -> float:
    """Seconds that it took to put them there."""
    began = time.monotonic()
    posts = Posts("cdrs", run=run, calls=count)
    bodies = (posts[position].body for position in range(count))
    await queues.fill(url, RECEIVED, bundles(bodies, BUNDLE, source=SOURCE), content_type=BUNDLE_CONTENT_TYPE)
    return time.monotonic() - began
