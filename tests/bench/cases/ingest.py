"""Case a: 1 KB CDR posts on 64 connections, each answered after a quorum queue's confirm; bare aiohttp for the limit.

A run counts when the queue then names exactly the sessions whose posts were answered 2xx, save those that were under
way when the generator stopped.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from schemas.topology import RECEIVED
from tests.bench import queues
from tests.bench.builds import Build
from tests.bench.contender import Processes, processes
from tests.bench.figures import Latency, Run, counts_differ, rows
from tests.bench.metering import Meter
from tests.bench.ours import PATH, Ours
from tests.bench.peers_environment import PEERS
from tests.bench.playing import best, guarded, in_turn
from tests.bench.posting import Order
from tests.bench.settings import CONNECTIONS
from tests.bench.theatre import Theatre, new_run
from tests.services import ports

CASE: Final = "ingest"
HALF: Final = "ingest at half load"
QUEUE: Final = "received"
WARM_SECONDS: Final = 1
TUNE_SECONDS: Final = 2
BARE: Final = "bare aiohttp"


@dataclass(frozen=True, kw_only=True)
class Door:
    """A server of one run; `queue` None: it keeps nothing."""

    port: int
    path: str
    queue: str | None


Start = Callable[[Theatre, Processes, str], Awaitable[Door]]


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One way to answer posts, in one setting."""

    name: str
    setting: str
    start: Start
    half: bool = False  # played at half load too


async def _ours(theatre: Theatre, found: Processes, url: str) -> Door:
    return await _door(found, url, theatre.ours)


def _beside(build: Build) -> Contender:
    async def start(_: Theatre, found: Processes, url: str) -> Door:
        return await _door(found, url, build)

    return Contender(name=build.name, setting="defaults", start=start)


async def _door(found: Processes, url: str, build: Build) -> Door:
    ours = Ours(processes=found, broker=url, store="sqlite:state", build=build)
    await ours.declare()
    await ours.start("ingest", "ingest")
    return Door(port=ours.port, path=f"{PATH}/fee", queue=RECEIVED)


def _bare(shape: str, build: Build | None = None) -> Contender:
    async def start(theatre: Theatre, found: Processes, __: str) -> Door:
        port = ports.free_port()
        found.start("bare", (build or theatre.ours).command("tests.bench.bare", str(port), shape))
        await found.wait_for_port(port)
        return Door(port=port, path="/fee", queue=None)

    name = f"{BARE}, {shape}" + (f", {build.name}" if build else "")
    return Contender(name=name, setting="uvloop", start=start, half=shape == "server" and not build)


def bares(theatre: Theatre) -> list[Contender]:
    """Bare aiohttp on each interpreter of this run: each build is measured by what its own makes of it."""
    others = [build for build in theatre.beside if build.python != theatre.ours.python]
    return [SERVER, *(_bare("server", build) for build in others)]


def _peer(name: str, setting: str, script: str, *arguments: str) -> Contender:
    async def start(theatre: Theatre, found: Processes, url: str) -> Door:
        await queues.declare(url, QUEUE)
        command, port = [str(theatre.peers), str(PEERS / f"{script}.py")], ports.free_port()
        found.start(script, [*command, str(port), url, QUEUE, *arguments])
        await found.wait_for_port(port)
        return Door(port=port, path="/fee", queue=QUEUE)

    return Contender(name=name, setting=setting, start=start)


def _mq_bridge(batch: int, concurrency: int) -> Contender:
    async def start(theatre: Theatre, found: Processes, url: str) -> Door:
        await queues.declare(url, QUEUE)
        python, port = str(theatre.peers), ports.free_port()
        route = {
            "input": {"http": {"url": f"127.0.0.1:{port}", "internal_buffer_size": 1000, "concurrency_limit": 1000}},
            "output": {"amqp": {"url": url, "queue": QUEUE, "no_declare_queue": True, "delayed_ack": False}},
            "batch_size": batch,
            "concurrency": concurrency,
        }
        found.start("mq_bridge", [python, str(PEERS / "mq_bridge_route.py"), json.dumps(route)])
        await found.wait_for_port(port)
        return Door(port=port, path="/fee", queue=QUEUE)

    return Contender(name="mq-bridge", setting=f"batch_size {batch}, concurrency {concurrency}", start=start, half=True)


SERVER: Final = _bare("server")

# Each row is one contender, in the settings to try; the first one is taken where none is tried.
CONTENDERS: Final[Sequence[Sequence[Contender]]] = (
    (Contender(name="Callstitch", setting="defaults", start=_ours, half=True),),
    (SERVER,),
    (_bare("application"),),
    (
        _peer("aiohttp + aio-pika", "uvloop, one channel", "ingest_aio_pika", "1"),
        _peer("aiohttp + aio-pika", "uvloop, four channels", "ingest_aio_pika", "4"),
    ),
    (_peer("FastAPI + FastStream", "uvicorn, uvloop, httptools", "ingest_faststream"),),
    (_mq_bridge(512, 4), _mq_bridge(64, 1), _mq_bridge(64, 4), _mq_bridge(512, 1)),
)


async def play_one(theatre: Theatre, contender: Contender, *, seconds: int) -> Run:
    """One run.

    Raises:
        Trouble: it could not be played.
    """
    async with _open(theatre, contender) as (found, door, url):
        warm, run = new_run(), new_run()
        warmed, _ = await theatre.wrk(door.port, door.path, seconds=WARM_SECONDS, run=warm)
        meter = Meter(theatre, found)
        told, generator = await theatre.wrk(door.port, door.path, seconds=seconds, run=run)
        used = meter.used(generator=generator)
        found.check()
        trouble = await _trouble(door, url, [(warm, warmed["answered"]), (run, told["answered"])])
        bad = told["refused"] + told["broken"] + warmed["refused"] + warmed["broken"]
        return Run(
            case=CASE,
            contender=contender.name,
            count=told["answered"],
            seconds=told["seconds"],
            used=used,
            latency=Latency(p50=told["p50"], p95=told["p95"], p99=told["p99"]),
            trouble=f"{bad} posts were refused or broken" if bad else trouble,
            setting=contender.setting,
        )


async def play_half(theatre: Theatre, contender: Contender, rate: float) -> Run:
    """One run at that many posts a second, which come due by the clock; their latency counts from then.

    Raises:
        Trouble: it could not be played.
    """
    run, calls = new_run(), max(CONNECTIONS, round(rate * theatre.settings.ingest_seconds))
    async with _open(theatre, contender) as (found, door, url):
        meter = Meter(theatre, found)
        path = door.path.removesuffix("/fee")  # the generator's posts name their kind themselves
        order = Order(port=door.port, path=path, kind="cdrs", run=run, calls=calls, connections=CONNECTIONS, rate=rate)
        report = await theatre.post(order)
        used = meter.used(generator=report.cpu)
        found.check()
        return Run(
            case=HALF,
            contender=contender.name,
            count=report.answered,
            seconds=report.ended - report.began,
            used=used,
            latency=Latency(**report.latency),
            trouble=f"{report.refused} posts were refused"
            if report.refused
            else await _trouble(door, url, [(run, report.answered)]),
            setting=contender.setting,
        )


@asynccontextmanager
async def _open(theatre: Theatre, contender: Contender) -> AsyncIterator[tuple[Processes, Door, str]]:
    async with theatre.vhost() as url:
        with processes(theatre.run_directory()) as found:
            yield found, await contender.start(theatre, found, url), url


async def _trouble(door: Door, url: str, answered: Sequence[tuple[str, int]]) -> str | None:
    """Compare what is in the queue with what was answered: no session twice, none missing, none too many."""
    if door.queue is None:
        return None
    found = await queues.sessions_in(url, door.queue)
    distinct = set(found)
    if len(distinct) < len(found):
        return f"{len(found) - len(distinct)} sessions are there twice"
    for run, count in answered:
        arrived = sum(session.startswith(run) for session in distinct)
        if trouble := counts_differ(wanted=count, found=arrived, unsure=CONNECTIONS):
            return trouble
    return None


async def play(theatre: Theatre, contender: Contender) -> Run:
    """One run of the case's length, or one that says why there is none."""
    return await guarded(CASE, contender.name, play_one(theatre, contender, seconds=theatre.settings.ingest_seconds))


async def play_all(theatre: Theatre) -> AsyncIterator[Run]:
    """Every contender in turn, in each round, then some of them again at half of what they made."""
    chosen = [
        await best(theatre, CASE, row, lambda contender: play_one(theatre, contender, seconds=TUNE_SECONDS))
        for row in [*((_beside(build),) for build in theatre.beside), *CONTENDERS]
        if theatre.settings.wants(row[0].name)
    ]
    played: list[Run] = []
    async for run in in_turn(theatre.settings.rounds, [partial(play, theatre, one) for one in chosen]):
        played.append(run)
        yield run
    rates = {row.contender: row.rate.median for row in rows(played) if row.counted}

    async def at_half(contender: Contender) -> Run:
        return await guarded(HALF, contender.name, play_half(theatre, contender, rates[contender.name] / 2))

    halved = [partial(at_half, one) for one in chosen if one.half and one.name in rates]
    async for run in in_turn(theatre.settings.rounds, halved):
        yield run
