"""Roles: what a container runs (`ingest`, `work STAGE`) and all of them in one process (`up`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import structlog

from console.admin_access import admin_token
from console.admission import edges, leftovers
from console.ledger.watch import LedgerWatch
from console.reading import Account, reckon
from console.reload.reloading import Reloading
from console.sabotage import Sabotage
from console.stations.stations import Stations, open_stations
from console.stations.switchboard import owners_commands
from ingest.door import Door
from ingest.server import serve_door
from ingest.state import DoorState
from runtime.admin import serve_admin
from runtime.broker import open_broker
from runtime.clock import system_clock
from runtime.hold.switch import Switch
from runtime.tasks import watched
from runtime.telemetry import Telemetry
from runtime.telemetry.look import Look
from runtime.tracing import open_tracing
from runtime.wire import monotonic_message_ids
from schemas.platforms import DIALECTS
from schemas.topology import INGEST, PARKING, STAGES, SWITCH_QUEUES, Queue
from workers.config import Config, config_topology
from workers.process import WHOLE, Commit, Process, unwrapped
from workers.wiring import sources_of

log = structlog.get_logger()

BoundRole = Callable[[asyncio.Event], Awaitable[None]]


@asynccontextmanager
async def open_process(config: Config, *, declare: bool, sabotage: Sabotage | None = None) -> AsyncIterator[Process]:
    """A broker connection and what all stages share; the topology is declared, or only checked.

    Raises:
        Misconfigured, Unavailable: see open_broker.
    """
    async with open_tracing() as tracing, open_broker(config.broker) as broker:
        if declare:
            for sentence in leftovers.told_of(await leftovers.declare(config, broker)):
                log.warning("topology.left_over", reason=sentence)
            await edges.log_of(config, broker)
        else:
            await broker.check(config_topology(config))
        yield Process(
            config=config,
            broker=sabotage.broker(broker) if sabotage else broker,
            telemetry=Telemetry(),
            clock=system_clock(),
            message_ids=monotonic_message_ids(uuid4().hex[:12]),
            wrap=sabotage.stage if sabotage else unwrapped,
            whole=declare,
            tracing=tracing,
        )


def ingest_role(config: Config, *, shared: bool = False, reloading: Reloading | None = None) -> BoundRole:
    """Only the door; `shared`: other doors may listen at its address too. `reloading`: as for all, when and from where.

    Told to stop, it is not ready for `drain_delay` and still answers, so that whoever sends it customers can see it.
    """

    async def role(stopping: asyncio.Event) -> None:
        state = DoorState()
        async with AsyncExitStack() as stack:
            process = await stack.enter_async_context(open_process(config, declare=False))
            await stack.enter_async_context(_admin(process, None, reloading, door=state))
            await stack.enter_async_context(watched(_look(process).run()))
            await stack.enter_async_context(_door(process, state, shared=shared))
            await stack.enter_async_context(_reloaded(process, reloading))
            log.info("ingest.ready", listen=config.ingest.listen)
            await stopping.wait()
            state.leaving = True
            await asyncio.sleep(config.ingest.drain_delay.total_seconds())

    return role


def work_role(
    config: Config,
    stage: str,
    *,
    part: str | None,
    sabotage: Sabotage | None = None,
    reloading: Reloading | None = None,
) -> BoundRole:
    """One stage, or its one sink or queue, or those that are composed."""

    async def role(stopping: asyncio.Event) -> None:
        async with AsyncExitStack() as stack:
            process = await stack.enter_async_context(open_process(config, declare=False, sabotage=sabotage))
            stations = await _stations(process, [stage], stack, part=part)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(stations.run(stopping))
                if not await stations.begun(stopping):
                    return
                await stack.enter_async_context(_admin(process, stations, reloading))
                await stack.enter_async_context(_reloaded(process, reloading))
                log.info("work.ready", stage=stage)
                await stopping.wait()

    return role


def up_role(
    config: Config,
    *,
    sabotage: Sabotage | None = None,
    ready: Callable[[], None] | None = None,
    reloading: Reloading | None = None,
) -> BoundRole:
    """Everything in one process; on a drain the door closes first, then the stages finish what they hold."""

    async def role(stopping: asyncio.Event) -> None:
        state, closed = DoorState(), asyncio.Event()
        async with AsyncExitStack() as stack:
            process = await stack.enter_async_context(open_process(config, declare=True, sabotage=sabotage))
            stations = await _stations(process, WHOLE, stack)
            if config.broker.embedded:  # nobody else can open it meanwhile
                process.commands.update(owners_commands(process.broker, process.message_ids, process.config))
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(stations.run(closed))
                if await stations.begun(stopping):
                    await stack.enter_async_context(_admin(process, stations, reloading, door=state))
                    async with _door(process, state), _reloaded(process, reloading):
                        log.info("up.ready", listen=process.config.ingest.listen)
                        if ready is not None:
                            ready()
                        await stopping.wait()
                        state.leaving = True
                closed.set()

    return role


async def _stations(
    process: Process, roles: Collection[str], stack: AsyncExitStack, *, part: str | None = None
) -> Stations:
    """The stages, with what looks at the queues, and beside each, while it is open, what looks at its store."""
    parks = next(row.name for row in STAGES.values() if row.reads.keys() >= PARKING)  # it has the least to do
    look, ledger = _look(process), _ledger(process) if parks in roles else None

    def beside(open_one: Process) -> Iterator[Coroutine[Any, Any, None]]:
        for stage, counts in open_one.looks.items():
            yield look.at_store(stage, counts)
            if ledger is not None and stage == parks:
                yield ledger.run()

    stations = await open_stations(process, roles, stack, part=part, beside=beside)
    await stack.enter_async_context(watched(look.run()))
    return stations


def _reloaded(process: Process, reloading: Reloading | None) -> AbstractAsyncContextManager[object]:
    return nullcontext() if reloading is None else watched(reloading.run(process))


@asynccontextmanager
async def _door(process: Process, state: DoorState, *, shared: bool = False) -> AsyncIterator[Door]:
    opened = serve_door(
        process.config.ingest,
        sources=sources_of(process.config),
        dialects=DIALECTS,
        broker=process.broker,
        message_ids=process.message_ids,
        telemetry=process.telemetry,
        clock=process.clock,
        state=state,
        shared=shared,
        tracing=process.tracing,
        switch=Switch(process.broker, INGEST, process.message_ids),
    )
    async with opened as door:

        async def prepare(config: Config, _: AsyncExitStack) -> Commit:
            entrances = door.entrances(sources_of(config))

            async def commit() -> None:
                door.open_to(entrances)

            return commit

        process.reloads.append(prepare)
        yield door


def _look(process: Process) -> Look:
    look = Look(process.telemetry, process.broker)
    look.at(_queues(process.config))

    async def prepare(config: Config, _: AsyncExitStack) -> Commit:
        queues = _queues(config)

        async def commit() -> None:
            look.at(queues)

        return commit

    process.reloads.append(prepare)
    return look


def _queues(config: Config) -> list[Queue]:
    """Those that work passes through: nobody reads the word of a hold, and that is right."""
    return [queue for queue in config_topology(config).queues if queue.name not in SWITCH_QUEUES.values()]


def _ledger(process: Process) -> LedgerWatch:
    config = process.config

    async def prepare(another: Config, _: AsyncExitStack) -> Commit:
        async def commit() -> None:
            nonlocal config
            config = another

        return commit

    async def account() -> Account:
        now = datetime.now(UTC)
        return await reckon(config, since=None, until=None, source=None, now=now, named=False)

    process.reloads.append(prepare)
    sources = [source.name for source in config.source]
    return LedgerWatch(account, sources=sources, registry=process.telemetry.registry)


def _admin(
    process: Process, stations: Stations | None, reloading: Reloading | None, *, door: DoorState | None = None
) -> AbstractAsyncContextManager[None]:
    def ready() -> Mapping[str, bool | str]:
        return {
            "broker": process.broker.trouble or True,
            **(stations.checks() if stations else {}),
            **({"door": door.check()} if door else {}),
        }

    def held() -> Mapping[str, str]:
        closed = {INGEST: door.closed} if door and door.closed else {}
        return {**(stations.held() if stations else {}), **closed}

    def on_hold() -> Mapping[str, float]:
        switches = [*(stations.names if stations else []), *([INGEST] if door else [])]
        return dict.fromkeys(switches, 0.0) | dict.fromkeys(held(), 1.0)

    process.telemetry.tell_all("callstitch_ready", lambda: {name: state is True for name, state in ready().items()})
    process.telemetry.tell_all("callstitch_on_hold", on_hold)
    return serve_admin(
        process.config.ingest.admin,
        process.telemetry,
        ready,
        commands=process.commands,
        token=admin_token(process.config) if stations and stations.own_state else None,
        paused=lambda: [loop.name for loop in stations.loops if loop.paused] if stations else [],
        away=lambda: [loop.name for loop in stations.loops if loop.away or loop.full] if stations else [],
        stale=lambda: reloading.stale if reloading else "",
        held=held,
    )
