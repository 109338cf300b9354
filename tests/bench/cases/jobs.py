"""Who does the job of case c: ours in its forms on both stores, the trees beside it, and the peers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench import queues
from tests.bench.builds import Build
from tests.bench.contender import Processes, Trouble
from tests.bench.downstream import Arrivals, watch_file, watch_queue
from tests.bench.ours import DOWNSTREAM, PATH, Ours
from tests.bench.peers_environment import PEERS
from tests.bench.theatre import Theatre
from tests.services import ports

RECEIVED_BY_PEERS: Final = "received"
EXPECTED: Final = {"steps": 4000, "merged": 4000}
STAGES: Final = ("dedupe", "correlate")
FUSED: Final = ("dedupe,correlate",)
NAME: Final = "Callstitch"

Watch = Callable[[Arrivals, Callable[[], bool]], Awaitable[None]]
Store = Callable[[Theatre], str]


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A contender that is ready: where to post, and how to see what comes out."""

    port: int
    path: str
    watch: Watch


Open = Callable[[Theatre, Processes, str, str], Awaitable[Opened]]


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One way to do the job; `expected` notifications a second by kind only say how many to send.

    `cluster`: it keeps its state in PostgreSQL.
    """

    name: str
    setting: str
    expected: Mapping[str, int]
    open: Open
    cluster: bool = False


def own_files(_: Theatre) -> str:
    """SQLite, empty, in the run's own directory."""
    return "sqlite:state"


def new_database(theatre: Theatre) -> str:
    """PostgreSQL, an empty database."""
    return theatre.cluster.make_database()


STORES: Final[Mapping[str, Store]] = {"SQLite": own_files, "PostgreSQL": new_database}


def ours(
    name: str,
    store: Store,
    *,
    build: Build | None = None,
    processes: int = 1,
    sinks: int = 0,
    stages: Sequence[str] = STAGES,
    batch: bool = False,
) -> Contender:
    """Callstitch on RabbitMQ, each stage `processes` times, with so many jsonl sinks beside the downstream queue."""
    several = ("--processes", str(processes)) if processes > 1 else ()
    roles = (*stages, *(("fan_out",) if sinks else ()))

    async def start(theatre: Theatre, found: Processes, url: str, kind: str) -> Opened:
        mine = Ours(
            processes=found,
            broker=url,
            store=store(theatre),
            build=build or theatre.ours,
            merged=kind == "merged",
            batch=batch,
            sinks=sinks,
        )
        await mine.declare()
        starting = [mine.start(stage, "work", stage, *several) for stage in roles]
        await asyncio.gather(*starting, mine.start("ingest", "ingest", *several))
        return Opened(port=mine.port, path=PATH, watch=_queue(url, mine.sink_files))

    told = ", ".join(["ingest", *roles]).replace("dedupe,correlate", "dedupe and correlate in one")
    setting = f"{'one process' if processes == 1 else f'{processes} processes'} each: {told}"
    return Contender(name=name, setting=setting, expected=EXPECTED, open=start, cluster="PostgreSQL" in name)


def named(store: str, *, batch: bool = False, fused: bool = False, of: str = NAME) -> str:
    """What the tables call ours in this form, on this store."""
    return f"{of}, {store}" + ", batches" * batch + ", fused" * fused


def plain(builds: Iterable[Build]) -> Iterator[Contender]:
    """Each in the plain form on both stores."""
    for build in builds:
        for store, url_of in STORES.items():
            yield ours(named(store, of=build.name), url_of, build=build)


async def _embedded(theatre: Theatre, found: Processes, __: str, kind: str) -> Opened:
    mine = Ours(
        processes=found,
        broker="embedded:broker.db",
        store="sqlite:state",
        build=theatre.ours,
        merged=kind == "merged",
    )
    await mine.start("up", "up")

    async def watch(seen: Arrivals, ended: Callable[[], bool]) -> None:
        await watch_file(mine.events_file, seen, ended)

    return Opened(port=mine.port, path=PATH, watch=watch)


def _faststream(prefetch: int) -> Contender:
    async def start(theatre: Theatre, found: Processes, url: str, kind: str) -> Opened:
        script = [str(theatre.peers), str(PEERS / "job_faststream.py")]
        return await _peer(theatre, found, url, script, [str(prefetch), kind])

    return Contender(
        name="FastStream + PostgreSQL",
        setting=f"one process each: door, worker; prefetch {prefetch}, pool of 20",
        expected={"steps": 200, "merged": 500},
        open=start,
        cluster=True,
    )


async def _go(theatre: Theatre, found: Processes, url: str, kind: str) -> Opened:
    return await _peer(theatre, found, url, [str(theatre.go)], [kind])


async def _peer(theatre: Theatre, found: Processes, url: str, program: Sequence[str], rest: Sequence[str]) -> Opened:
    dsn = theatre.cluster.make_database()
    await queues.declare(url, RECEIVED_BY_PEERS, DOWNSTREAM)
    port = ports.free_port()
    found.start("worker", [*program, "worker", url, dsn, *rest])
    found.start("door", [*program, "door", str(port), url])
    await found.wait_for_port(port)
    return Opened(port=port, path="", watch=_queue(url))


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


def _forms(store: str, url_of: Store) -> Iterator[tuple[Contender]]:
    for fused in (False, True):
        for batch in (False, True):
            name = named(store, batch=batch, fused=fused)
            yield (ours(name, url_of, batch=batch, stages=FUSED if fused else STAGES),)


EMBEDDED: Final = Contender(
    name=f"{NAME}, up (embedded, SQLite)", setting="one process", expected=EXPECTED, open=_embedded
)
FASTSTREAM: Final = (_faststream(20), _faststream(100))
GO: Final = Contender(
    name="Go + PostgreSQL",
    setting="one process each: door, worker; batches of up to 256 messages, one transaction each",
    expected=EXPECTED,
    open=_go,
    cluster=True,
)
PLAIN: Final = {store: ours(named(store), url_of) for store, url_of in STORES.items()}
CONTENDERS: Final[Sequence[Sequence[Contender]]] = (
    *(form for store, url_of in STORES.items() for form in _forms(store, url_of)),
    (EMBEDDED,),
    FASTSTREAM,
    (GO,),
)
