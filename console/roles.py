"""Roles: what a container runs (`ingest`, `work STAGE`) and all of them in one process (`up`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from datetime import UTC, datetime
from uuid import uuid4

import structlog

from console.admin_access import admin_token
from console.admission import edges, leftovers
from console.admission.upgrade import Turn
from console.ledger.watch import LedgerWatch
from console.reading import Account, reckon
from console.reload.reloading import Reloading
from console.sabotage import Sabotage
from ingest.door import Door
from ingest.server import serve_door
from ingest.state import DoorState
from runtime.admin import serve_admin
from runtime.broker import open_broker
from runtime.clock import system_clock
from runtime.tasks import Watch, watched
from runtime.telemetry import Telemetry
from runtime.telemetry.look import Look
from runtime.tracing import open_tracing
from runtime.wire import monotonic_message_ids
from schemas.platforms import DIALECTS
from schemas.topology import PARKING, STAGES
from workers.config import Config, config_topology
from workers.process import ROLES, WHOLE, Commit, Process, unwrapped
from workers.wiring import open_role, sources_of

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
            await stack.enter_async_context(_admin(process, reloading, door=state))
            await stack.enter_async_context(_looking(process))
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
    rows = ROLES[stage]

    async def role(stopping: asyncio.Event) -> None:
        async with AsyncExitStack() as stack:
            process = await stack.enter_async_context(open_process(config, declare=False, sabotage=sabotage))
            if not await _our_turn(process, [row.name for row in rows], stopping):
                return
            process.crew.add(await stack.enter_async_context(open_role(process, stage, part=part)))
            await stack.enter_async_context(_looking(process))
            await stack.enter_async_context(_admin(process, reloading))
            if any(row.reads.keys() >= PARKING for row in rows):  # it has the least to do
                await stack.enter_async_context(_ledger(process))
            await stack.enter_async_context(_reloaded(process, reloading))
            log.info("work.ready", stage=stage)
            await process.crew.run(stopping)

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
        state = DoorState()
        async with AsyncExitStack() as stack:
            process = await stack.enter_async_context(open_process(config, declare=True, sabotage=sabotage))
            if not await _our_turn(process, STAGES, stopping):
                return
            for name in WHOLE:
                process.crew.add(await stack.enter_async_context(open_role(process, name)))
            await stack.enter_async_context(_looking(process))
            await stack.enter_async_context(_admin(process, reloading, door=state))
            await stack.enter_async_context(_ledger(process))
            await _door_then_stages(process, state, stopping, ready, reloading)

    return role


async def _our_turn(process: Process, stages: Collection[str], stopping: asyncio.Event) -> bool:
    """Wait, and say so at /readyz, until no older version is in the way; whether we are to go on."""
    turn = Turn(process.config.store, process.broker, stages)
    if not await turn.has_come():
        async with _admin(process, None, turn=turn):
            await turn.wait(stopping)
    return not stopping.is_set()


async def _door_then_stages(
    process: Process,
    state: DoorState,
    stopping: asyncio.Event,
    ready: Callable[[], None] | None,
    reloading: Reloading | None,
) -> None:
    closed = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(process.crew.run(closed))
        async with _door(process, state), _reloaded(process, reloading):
            log.info("up.ready", listen=process.config.ingest.listen)
            if ready is not None:
                ready()
            await stopping.wait()
            state.leaving = True
        closed.set()


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
    )
    async with opened as door:

        async def prepare(config: Config, _: AsyncExitStack) -> Commit:
            entrances = door.entrances(sources_of(config))

            async def commit() -> None:
                door.open_to(entrances)

            return commit

        process.reloads.append(prepare)
        yield door


def _looking(process: Process) -> AbstractAsyncContextManager[Watch]:
    look = Look(process.telemetry, process.broker, stores=process.looks)
    look.at(config_topology(process.config).queues)

    async def prepare(config: Config, _: AsyncExitStack) -> Commit:
        queues = config_topology(config).queues

        async def commit() -> None:
            look.at(queues)

        return commit

    process.reloads.append(prepare)
    return watched(look.run())


def _ledger(process: Process) -> AbstractAsyncContextManager[Watch]:
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
    return watched(LedgerWatch(account, sources=sources, registry=process.telemetry.registry).run())


def _admin(
    process: Process, reloading: Reloading | None, *, door: DoorState | None = None, turn: Turn | None = None
) -> AbstractAsyncContextManager[None]:
    def ready() -> Mapping[str, bool | str]:
        return {
            "broker": process.broker.trouble or True,
            **{loop.name: loop.ready for loop in process.crew.loops},
            **({"door": door.check()} if door else {}),
            **({"upgrade": turn.reason or True} if turn else {}),
        }

    process.telemetry.tell_all("callstitch_ready", lambda: {name: state is True for name, state in ready().items()})
    token = admin_token(process.config) if process.commands else None
    return serve_admin(
        process.config.ingest.admin,
        process.telemetry,
        ready,
        commands=process.commands,
        token=token,
        paused=lambda: [loop.name for loop in process.crew.loops if loop.paused],
        away=lambda: [loop.name for loop in process.crew.loops if loop.away or loop.full],
        stale=lambda: reloading.stale if reloading else "",
    )
