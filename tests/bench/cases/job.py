"""Case c: the whole job, from the first post to the last event on a downstream queue.

(i) calls of five events and one CDR in single posts, progress events on; (ii) CDRs merged 50 a post, from a source
without call events. The rate counts notifications: posts in (i), CDRs in (ii). A run counts when each call that was
sent has its call.completed downstream and each of its events its call.progress.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tests.bench import queues
from tests.bench.bodies import STEPS
from tests.bench.contender import Processes, Trouble, processes
from tests.bench.downstream import Arrivals, arrivals, watch_file, watch_queue
from tests.bench.figures import Run, latency
from tests.bench.ours import DOWNSTREAM, PATH, Ours
from tests.bench.peers_environment import PEERS
from tests.bench.playing import best, guarded
from tests.bench.posting import Order
from tests.bench.settings import CONNECTIONS
from tests.bench.theatre import Theatre, new_run
from tests.bench.usage import Usage
from tests.services import ports

CASES: Final = {"steps": "job (i), single posts", "merged": "job (ii), 50 CDRs a post"}
RECEIVED_BY_PEERS: Final = "received"
LEAST_CALLS: Final = 100
LEAST_PACED: Final = 20

Watch = Callable[[Arrivals, Callable[[], bool]], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A contender that is ready: where to post, and how to see what comes out."""

    port: int
    path: str
    watch: Watch


Open = Callable[[Theatre, Processes, str, str], Awaitable[Opened]]


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One way to do the job; `expected` notifications a second by kind only say how many to send."""

    name: str
    setting: str
    expected: dict[str, int]
    open: Open


def own_files(_: Theatre) -> str:
    """SQLite, empty, in the run's own directory."""
    return "sqlite:state"


def new_database(theatre: Theatre) -> str:
    """PostgreSQL, an empty database."""
    return theatre.cluster.make_database()


def ours(
    name: str, store: Callable[[Theatre], str], *, expected: dict[str, int], processes: int = 1, sinks: int = 0
) -> Contender:
    """Callstitch on RabbitMQ, each stage `processes` times, with so many jsonl sinks beside the downstream queue."""
    several = ("--processes", str(processes)) if processes > 1 else ()
    stages = ("dedupe", "correlate", *(("fan_out",) if sinks else ()))

    async def start(theatre: Theatre, found: Processes, url: str, kind: str) -> Opened:
        mine = Ours(processes=found, broker=url, store=store(theatre), merged=kind == "merged", sinks=sinks)
        await mine.declare()
        for stage in stages:
            await mine.start(stage, "work", stage, *several)
        await mine.start("ingest", "ingest", *several)
        return Opened(port=mine.port, path=PATH, watch=_queue(url, mine.sink_files))

    setting = f"{'one process' if processes == 1 else f'{processes} processes'} each: ingest, {', '.join(stages)}"
    return Contender(name=name, setting=setting, expected=expected, open=start)


async def _embedded(_: Theatre, found: Processes, __: str, kind: str) -> Opened:
    mine = Ours(processes=found, broker="embedded:broker.db", store="sqlite:state", merged=kind == "merged")
    await mine.start("up", "up")

    async def watch(seen: Arrivals, ended: Callable[[], bool]) -> None:
        await watch_file(mine.events_file, seen, ended)

    return Opened(port=mine.port, path=PATH, watch=watch)


def _faststream(prefetch: int) -> Contender:
    async def start(theatre: Theatre, found: Processes, url: str, kind: str) -> Opened:
        dsn = theatre.cluster.make_database()
        await queues.declare(url, RECEIVED_BY_PEERS, DOWNSTREAM)
        command, port = [str(theatre.peers), str(PEERS / "job_faststream.py")], ports.free_port()
        found.start("worker", [*command, "worker", url, dsn, str(prefetch), kind])
        found.start("door", [*command, "door", str(port), url])
        await found.wait_for_port(port)
        return Opened(port=port, path="", watch=_queue(url))

    setting = f"one process each: door, worker; prefetch {prefetch}, pool of 20"
    return Contender(
        name="FastStream + PostgreSQL", setting=setting, expected={"steps": 200, "merged": 500}, open=start
    )


def _queue(url: str, files: Sequence[Path] = ()) -> Watch:
    """Of the downstream queue, and of the sinks' files: each has to hold the same."""

    async def watch(seen: Arrivals, ended: Callable[[], bool]) -> None:
        copies = [seen.another() for _ in files]
        watching = [watch_file(file, copy, ended) for file, copy in zip(files, copies, strict=True)]
        await asyncio.gather(watch_queue(url, DOWNSTREAM, seen, ended), *watching)
        for file, copy in zip(files, copies, strict=True):
            seen.last = max(seen.last, copy.last)
            if copy.trouble:
                raise Trouble(f"{file.name}: {copy.trouble}")

    return watch


SQLITE: Final = ours("Callstitch, RabbitMQ + SQLite", own_files, expected={"steps": 1500, "merged": 2500})
POSTGRESQL: Final = ours("Callstitch, RabbitMQ + PostgreSQL", new_database, expected={"steps": 1500, "merged": 2000})
EMBEDDED: Final = Contender(
    name="Callstitch, embedded + SQLite",
    setting="one process",
    expected={"steps": 1000, "merged": 2000},
    open=_embedded,
)
FASTSTREAM: Final = (_faststream(20), _faststream(100))
CONTENDERS: Final[Sequence[Sequence[Contender]]] = ((SQLITE,), (POSTGRESQL,), (EMBEDDED,), FASTSTREAM)


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
        before, services, by_name = found.usage, theatre.services_usage, found.usage_by_name
        posting = asyncio.ensure_future(theatre.post(order))
        watching = asyncio.ensure_future(opened.watch(seen, posting.done))
        try:
            report = await posting
            await watching
        finally:
            watching.cancel()
        after, services_after, by_name_after = found.usage, theatre.services_usage, found.usage_by_name
        found.check()
    took = max(seen.last, report.ended) - report.began
    notifications = calls * len(STEPS) if kind == "steps" else calls
    refused = f"{report.refused} posts were refused" if report.refused else None
    return Run(
        case=case or CASES[kind],
        contender=contender.name,
        count=notifications,
        seconds=took,
        cpu=after.cpu - before.cpu,
        services_cpu=services_after.cpu - services.cpu,
        peak_mib=after.peak_mib,
        latency=latency(seen.milliseconds(_read(stamps))),
        trouble=refused or seen.trouble,
        note=f"{contender.setting}; {_each(by_name, by_name_after, notifications)};"
        f" the generator took {report.cpu / (report.ended - report.began):.0%} of a core"
        + (f"; {seen.amended} call.amended" if seen.amended else ""),
    )


def _each(before: Mapping[str, Usage], after: Mapping[str, Usage], notifications: int) -> str:
    """What each process took a notification, and its peak."""
    return ", ".join(
        f"{name} {(used.cpu - before[name].cpu) / notifications * 1000:.2f} ms and {used.peak_mib:.0f} MiB"
        for name, used in after.items()
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
    """Every contender in turn, in each round, both kinds of traffic."""
    seconds = theatre.settings.job_seconds
    chosen = [
        await best(theatre, CASES["steps"], row, lambda one: play_one(theatre, one, kind="steps", seconds=seconds / 2))
        for row in CONTENDERS
        if theatre.settings.wants(row[0].name)
    ]
    for _ in range(theatre.settings.rounds):
        for kind, case in CASES.items():
            for place, contender in enumerate(chosen):
                playing = play_one(theatre, contender, kind=kind, seconds=seconds)
                run = await guarded(case, contender.name, playing)
                chosen[place] = _taught(contender, kind, run)
                yield replace(run, latency=None)  # of a queue that fills as fast as it can: says nothing


def _taught(contender: Contender, kind: str, run: Run) -> Contender:
    """The contender with what it is now expected to do, so that its next run lasts as long as it should."""
    if run.trouble:
        return contender
    return replace(contender, expected={**contender.expected, kind: round(run.rate)})
