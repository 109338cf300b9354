"""Case a: 1 KB CDR posts on 64 connections, each answered after a quorum queue's confirm; bare aiohttp for the limit.

A run counts when the queue then names exactly the sessions whose posts were answered 2xx, save those that were under
way when the generator stopped.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from schemas.topology import RECEIVED
from tests.bench import queues
from tests.bench.contender import Processes, module, processes
from tests.bench.figures import Latency, Run, counts_differ, rows
from tests.bench.ours import PATH, Ours
from tests.bench.peers_environment import PEERS
from tests.bench.playing import best, guarded
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


async def _ours(_: Theatre, found: Processes, url: str) -> Door:
    ours = Ours(processes=found, broker=url, store="sqlite:state")
    await ours.declare()
    await ours.start("ingest", "ingest")
    return Door(port=ours.port, path=f"{PATH}/fee", queue=RECEIVED)


def _bare(shape: str) -> Contender:
    async def start(_: Theatre, found: Processes, __: str) -> Door:
        port = ports.free_port()
        found.start("bare", module("tests.bench.bare", str(port), shape))
        await found.wait_for_port(port)
        return Door(port=port, path="/fee", queue=None)

    return Contender(name=f"{BARE}, {shape}", setting="uvloop", start=start, half=shape == "server")


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


# Each row is one contender, in the settings to try; the first one is taken where none is tried.
CONTENDERS: Final[Sequence[Sequence[Contender]]] = (
    (Contender(name="Callstitch", setting="defaults", start=_ours, half=True),),
    (_bare("server"),),
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
        before, services = found.usage, theatre.services_usage
        told, generator = await theatre.wrk(door.port, door.path, seconds=seconds, run=run)
        after, services_after = found.usage, theatre.services_usage
        found.check()
        trouble = await _trouble(door, url, [(warm, warmed["answered"]), (run, told["answered"])])
        bad = told["refused"] + told["broken"] + warmed["refused"] + warmed["broken"]
        return Run(
            case=CASE,
            contender=contender.name,
            count=told["answered"],
            seconds=told["seconds"],
            cpu=after.cpu - before.cpu,
            services_cpu=services_after.cpu - services.cpu,
            peak_mib=after.peak_mib,
            latency=Latency(p50=told["p50"], p95=told["p95"], p99=told["p99"]),
            trouble=f"{bad} posts were refused or broken" if bad else trouble,
            note=f"{contender.setting}; wrk took {generator / told['seconds']:.0%} of a core",
        )


async def play_half(theatre: Theatre, contender: Contender, rate: float) -> Run:
    """One run at that many posts a second, which come due by the clock; their latency counts from then.

    Raises:
        Trouble: it could not be played.
    """
    run, calls = new_run(), max(CONNECTIONS, round(rate * theatre.settings.ingest_seconds))
    async with _open(theatre, contender) as (found, door, url):
        before, services = found.usage, theatre.services_usage
        path = door.path.removesuffix("/fee")  # the generator's posts name their kind themselves
        order = Order(port=door.port, path=path, kind="cdrs", run=run, calls=calls, connections=CONNECTIONS, rate=rate)
        report = await theatre.post(order)
        after, services_after = found.usage, theatre.services_usage
        found.check()
        return Run(
            case=HALF,
            contender=contender.name,
            count=report.answered,
            seconds=report.ended - report.began,
            cpu=after.cpu - before.cpu,
            services_cpu=services_after.cpu - services.cpu,
            peak_mib=after.peak_mib,
            latency=Latency(**report.latency),
            trouble=f"{report.refused} posts were refused"
            if report.refused
            else await _trouble(door, url, [(run, report.answered)]),
            note=contender.setting,
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


async def play(theatre: Theatre) -> AsyncIterator[Run]:
    """Every contender in turn, in each round."""
    chosen = [
        await best(theatre, CASE, row, lambda contender: play_one(theatre, contender, seconds=TUNE_SECONDS))
        for row in CONTENDERS
        if theatre.settings.wants(row[0].name)
    ]
    played: list[Run] = []
    for _ in range(theatre.settings.rounds):
        for contender in chosen:
            playing = play_one(theatre, contender, seconds=theatre.settings.ingest_seconds)
            played.append(await guarded(CASE, contender.name, playing))
            yield played[-1]
    rates = {row.contender: row.rate for row in rows(played) if row.counted}
    for _ in range(theatre.settings.rounds):
        for contender in chosen:
            if contender.half and contender.name in rates:
                yield await guarded(HALF, contender.name, play_half(theatre, contender, rates[contender.name] / 2))
