"""The ingest role: the door on aiohttp's low-level server, the group commit loop, and the tallies."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

import structlog
from aiohttp import web

from ingest.door import HOUR_SECONDS, Door
from ingest.group_commit import GroupCommit
from ingest.questions import DEADLINE_SECONDS, Questions
from runtime import drain
from runtime.admin import start_listening
from runtime.broker.base import Broker
from runtime.telemetry import Telemetry
from schemas.dialect.dialect import AnyDialect
from schemas.envelope import Envelope, Kind, new_id
from schemas.errors import Unavailable
from schemas.settings.source import Source

log = structlog.get_logger()

TALLY_SECONDS: Final = 60.0
KEEPALIVE_SECONDS: Final = 15.0  # also cuts trickled headers (docs/notes/security.md section 2)


@asynccontextmanager
async def serve_door(
    listen: str,
    *,
    sources: Mapping[str, Source],
    dialects: Mapping[str, AnyDialect],
    broker: Broker,
    message_ids: Iterator[str],
    telemetry: Telemetry,
    clock: Callable[[], datetime],
    deadline_seconds: float = DEADLINE_SECONDS,
    shared: bool = False,
) -> AsyncIterator[Door]:
    """Serve until the context ends; then finish what is under way and send the last tally.

    `deadline_seconds` is how long a question may wait for its answer; `shared`: other doors may listen there too.
    """
    commit = GroupCommit(broker, message_ids, telemetry.bundles)
    questions = Questions(
        broker=broker,
        commit=commit,
        message_ids=message_ids,
        telemetry=telemetry,
        deadline_seconds=deadline_seconds,
    )
    door = Door(
        sources=sources, dialects=dialects, commit=commit, questions=questions, telemetry=telemetry, clock=clock
    )
    server = web.Server(door, keepalive_timeout=KEEPALIVE_SECONDS, auto_decompress=False, access_log=None)
    runner = web.ServerRunner(server, shutdown_timeout=drain.DOOR)
    tallies = Tallies(door.answered, commit, clock)
    committing = asyncio.create_task(commit.run())
    tallying = asyncio.create_task(tallies.send_each_minute())
    try:
        await runner.setup()
        await start_listening(runner, listen, shared=shared)
        yield door
    finally:
        await runner.cleanup()
        await questions.close()
        await _cancelled(tallying)
        await tallies.send()
        await _cancelled(committing)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


class Tallies:
    """Tells the ledger what was answered 200.

    A tally that was not confirmed may be stored all the same, so it is sent again as it is: the store knows its id.
    """

    def __init__(self, answered: Counter[tuple[str, int]], commit: GroupCommit, clock: Callable[[], datetime]) -> None:
        self._answered = answered
        self._commit = commit
        self._clock = clock
        self._unconfirmed: list[Envelope] = []

    async def send_each_minute(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(TALLY_SECONDS)
            await self.send()

    async def send(self) -> None:
        """What is still unconfirmed, and what was answered since; what cannot be sent now waits for the next time."""
        self._unconfirmed += [self._tally(source, hour, count) for (source, hour), count in self._answered.items()]
        self._answered.clear()
        waiting, self._unconfirmed = self._unconfirmed, []
        for tally in waiting:
            try:
                await self._commit.store(tally, timeout_seconds=drain.TALLY)
            except Unavailable as error:
                log.warning("tally.kept", source=tally.source, reason=str(error))
                self._unconfirmed.append(tally)
            except asyncio.CancelledError:
                self._unconfirmed += waiting[waiting.index(tally) :]
                raise

    def _tally(self, source: str, hour: int, answered: int) -> Envelope:
        now = self._clock()
        body = {"hour": f"{datetime.fromtimestamp(hour * HOUR_SECONDS, UTC):%Y-%m-%dT%H}", "answered": answered}
        return Envelope(id=new_id(now), kind=Kind.TALLY, source=source, at=now, body=body)
