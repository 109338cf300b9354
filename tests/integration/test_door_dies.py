"""A commit loop that ends by itself takes the door with it: it closes and says why, and never stays to say 503."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from aiohttp import ClientSession
from structlog.testing import capture_logs

from ingest.server import serve_door
from ingest.state import DoorState
from runtime.broker.base import Broker, Message
from runtime.broker.embedded import open_embedded
from runtime.clock import system_clock
from runtime.tasks import Died
from runtime.telemetry import Telemetry
from runtime.wire import monotonic_message_ids
from schemas.platforms import DIALECTS
from schemas.settings import Ingest
from schemas.topology import topology
from tests.integration.asking import HUAWEI, TOKEN, a_config
from tests.services import ports
from workers.wiring import sources_of


class Cancelling:
    """A broker that cancels a publish though nobody asked for it, as aiormq does to waiting calls (7.2.4)."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)

    async def publish(self, _: Sequence[Message]) -> None:
        """Ends in a cancellation that is nobody's."""
        raise asyncio.CancelledError


async def test_a_commit_loop_that_ends_by_itself_closes_the_door() -> None:
    state, listen = DoorState(), f"127.0.0.1:{ports.free_port()}"

    async def role() -> None:
        async with open_embedded(None) as broker:
            await broker.declare(topology([], []))
            async with serve_door(
                Ingest(listen=listen),
                sources=sources_of(a_config(HUAWEI)),
                dialects=DIALECTS,
                broker=Cancelling(broker),
                message_ids=monotonic_message_ids("door"),
                telemetry=Telemetry(),
                clock=system_clock(),
                state=state,
            ):
                async with ClientSession() as http:
                    await http.post(f"http://{listen}/v1/{HUAWEI['name']}/{TOKEN}/x", data=b"{}")
                await asyncio.Event().wait()

    with capture_logs() as logged, pytest.raises(Died, match=r"GroupCommit\.run it was cancelled"):
        await role()
    assert state.check() == "not listening"
    assert [line["task"] for line in logged if line["event"] == "task.ended"] == ["GroupCommit.run"]
