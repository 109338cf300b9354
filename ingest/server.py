"""The ingest role: the door on aiohttp's low-level server, the group commit loop, and the tallies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

import structlog
from aiohttp import web

from ingest.door import Door
from ingest.group_commit import GroupCommit
from ingest.outcomes import Outcomes
from ingest.plain_push import Desk
from ingest.questions import DEADLINE_SECONDS, Questions
from ingest.shares import Shares
from ingest.state import DoorState, open_and_close
from ingest.tallies import Tallies
from runtime import drain
from runtime.broker.base import Broker
from runtime.hold.switch import Switch
from runtime.port.address import start_listening
from runtime.port.connections import Connections
from runtime.port.descriptors import Room, room_for
from runtime.tasks import watched
from runtime.telemetry import Telemetry
from runtime.tracing.base import Tracing
from runtime.tracing.off import NO_TRACING
from schemas.dialect.dialect import AnyDialect
from schemas.settings import Ingest
from schemas.settings.source import Source

log = structlog.get_logger()

KEEPALIVE_SECONDS: Final = 15.0  # also cuts trickled headers (docs/notes/security.md section 2)


@asynccontextmanager
async def serve_door(
    settings: Ingest,
    *,
    sources: Mapping[str, Source],
    dialects: Mapping[str, AnyDialect],
    broker: Broker,
    message_ids: Iterator[str],
    telemetry: Telemetry,
    clock: Callable[[], datetime],
    state: DoorState | None = None,
    deadline_seconds: float = DEADLINE_SECONDS,
    shared: bool = False,
    tracing: Tracing = NO_TRACING,
    short_way: bool = True,
    switch: Switch | None = None,
) -> AsyncIterator[Door]:
    """Serve until the context ends; then finish what is under way and send the last tally.

    `state` tells /readyz of it; an answer has `deadline_seconds`; `shared`: other doors may listen there too;
    without the `short_way` aiohttp serves plain pushes, too, as it does all others; `switch` closes it and opens it.

    Raises:
        Died: the commit loop or the tallies ended by themselves.
        Unavailable: the broker does not tell how it stands.
    """
    state = state or DoorState()
    await state.begin(switch)
    room = room_for(settings.connections)
    commit = GroupCommit(broker, message_ids, telemetry.bundles, tracing)
    state.unstored = lambda: commit.trouble
    shares = Shares(room.connections, by_address=settings.connections_per_address > 0)
    questions = Questions(
        broker=broker, commit=commit, message_ids=message_ids, telemetry=telemetry, deadline_seconds=deadline_seconds
    )
    outcomes = Outcomes(telemetry, state)
    desk = Desk(commit=commit, clock=clock, shares=shares, tracing=tracing, outcomes=outcomes)
    door = Door(sources=sources, dialects=dialects, desk=desk, questions=questions, telemetry=telemetry)
    tallies = Tallies(outcomes.answered, commit, clock)
    obeying = open_and_close(switch, state, busy=lambda: shares.all.requests, last=tallies.send)
    async with watched(commit.run()):
        try:
            async with (
                watched(tallies.send_each_minute(), tallies.probe(broker, lambda: door.sources), obeying),
                _listening(door, state, settings, room, telemetry, shared=shared, short_way=short_way),
            ):
                yield door
        finally:
            await questions.close()
            await tallies.send()


@asynccontextmanager
async def _listening(
    door: Door, state: DoorState, settings: Ingest, room: Room, telemetry: Telemetry, *, shared: bool, short_way: bool
) -> AsyncIterator[None]:
    """The open port, with as many connections as fit; at its end what is under way is finished."""
    if room.connections < settings.connections:
        log.warning("door.connections_capped", most=room.connections, wanted=settings.connections, files=room.limit)
    server = Connections(
        door,
        port="door",
        most=room.connections,
        each=settings.connections_per_address,
        offer=door.offer if short_way else None,
        keepalive_timeout=KEEPALIVE_SECONDS,
        auto_decompress=False,
        access_log=None,
    )
    telemetry.connections.set_function(lambda: server.open)
    runner = web.ServerRunner(server, shutdown_timeout=drain.DOOR)
    await runner.setup()
    try:
        await start_listening(runner, settings.listen, shared=shared, backlog=room.backlog)
        state.listening = True
        yield
    finally:
        state.listening = False
        await runner.cleanup()
