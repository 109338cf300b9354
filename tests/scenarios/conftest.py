"""What the scenarios run on: each broker with each store that goes with it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from console.emulator.acts import APIS
from console.emulator.recordings import Recordings, serve_recordings
from tests.e2e.running import APP_KEY, Up
from tests.scenarios.stacks import Stack
from tests.scenarios.traffic import SEED
from tests.services.rabbitmq import RELEASES

OPEN_SECONDS = 30.0


@pytest.fixture(
    params=[
        ("embedded", "sqlite"),
        *(pytest.param((each, "postgresql"), marks=pytest.mark.rabbitmq) for each in RELEASES),
    ],
    ids="+".join,
)
def stack_kind(request: pytest.FixtureRequest) -> tuple[str, str]:
    broker, store = request.param
    return broker, store


@pytest.fixture
def rabbitmq_release(stack_kind: tuple[str, str]) -> str | None:
    return RELEASES.get(stack_kind[0])


@pytest.fixture
def stack(request: pytest.FixtureRequest, stack_kind: tuple[str, str], tmp_path: Path) -> Stack:
    """Empty, and gone with the test."""
    broker, store = stack_kind
    return Stack(
        broker=request.getfixturevalue("fresh_amqp_url") if broker in RELEASES else f"embedded:{tmp_path}/broker.db",
        store=request.getfixturevalue("postgres_dsn") if store == "postgresql" else f"sqlite:{tmp_path}/state",
    )


@pytest.fixture
def recordings_served() -> Callable[[Up], AbstractContextManager[None]]:
    """Serves the platform's recordings for an `Up` from a thread of this process, which outlives the crashes."""
    return _served


@contextmanager
def _served(up: Up) -> Iterator[None]:
    opened, over = threading.Event(), threading.Event()
    platform = Recordings(seed=SEED, app_key=APP_KEY, app_secret=up.secret, apis=APIS)

    async def serve() -> None:
        async with serve_recordings(platform, listen=up.recordings):
            opened.set()
            await asyncio.to_thread(over.wait)

    with ThreadPoolExecutor(1) as thread:
        serving = thread.submit(asyncio.run, serve())
        try:
            assert opened.wait(OPEN_SECONDS), "the recording hosts did not open"
            yield
        finally:
            over.set()
            serving.result(OPEN_SECONDS)
    assert platform.faults == []
