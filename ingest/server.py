"""The ingest role: the door on aiohttp's low-level server, the group commit loop, and the tallies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

import structlog
from aiohttp import web

from ingest.door import Door
from ingest.group_commit import GroupCommit
from runtime.admin import start_listening
from runtime.broker.base import Broker
from runtime.telemetry import Telemetry
from schemas.config import Source
from schemas.envelope import Envelope, Kind, new_id
from schemas.errors import Unavailable
from schemas.platforms.base import Platform

log = structlog.get_logger()

TALLY_SECONDS: Final = 60.0
TALLY_CONFIRM_SECONDS: Final = 3.0
KEEPALIVE_SECONDS: Final = 15.0  # also cuts trickled headers (notes/security.md section 2)
SHUTDOWN_SECONDS: Final = 5.0


@asynccontextmanager
async def serve_door(
    listen: str,
    *,
    sources: Mapping[str, Source],
    platforms: Mapping[str, Platform],
    broker: Broker,
    message_ids: Iterator[str],
    telemetry: Telemetry,
    clock: Callable[[], datetime],
) -> AsyncIterator[Door]:
    """Serve until the context ends; then finish what is under way and send the last tally."""
    commit = GroupCommit(broker, message_ids, telemetry.bundles)
    door = Door(sources=sources, platforms=platforms, commit=commit, telemetry=telemetry, clock=clock)
    server = web.Server(door, keepalive_timeout=KEEPALIVE_SECONDS, auto_decompress=False, access_log=None)
    runner = web.ServerRunner(server, shutdown_timeout=SHUTDOWN_SECONDS)
    tasks = [asyncio.create_task(commit.run()), asyncio.create_task(_tally_each_minute(door, commit, clock))]
    try:
        await runner.setup()
        await start_listening(runner, listen)
        yield door
    finally:
        await runner.cleanup()
        await send_tallies(door, commit, clock)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _tally_each_minute(door: Door, commit: GroupCommit, clock: Callable[[], datetime]) -> None:
    while True:
        await asyncio.sleep(TALLY_SECONDS)
        await send_tallies(door, commit, clock)


async def send_tallies(door: Door, commit: GroupCommit, clock: Callable[[], datetime]) -> None:
    """Tell the ledger what was answered 200; what cannot be told now stays counted for the next time."""
    for (source, hour), answered in list(door.answered.items()):
        now = clock()
        body = {"hour": hour, "answered": answered}
        tally = Envelope(id=new_id(now), kind=Kind.TALLY, source=source, at=now, body=body)
        try:
            await commit.store(tally, timeout_seconds=TALLY_CONFIRM_SECONDS)
        except Unavailable as error:
            log.warning("tally.kept", source=source, answered=answered, reason=str(error))
            continue
        door.answered[source, hour] -= answered
        if not door.answered[source, hour]:
            del door.answered[source, hour]
