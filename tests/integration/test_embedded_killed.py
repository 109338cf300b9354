"""The embedded broker's processes: killed at any moment, and never two on one file."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runtime.broker.embedded import open_embedded
from schemas.errors import Misconfigured
from tests.contracts.brokers import all_in, depth_is, numbered
from tests.integration.embedded_words import LIMITED, QUEUE, opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "broker.db"


@contextmanager
def a_process(work: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.integration.embedded_process", work, str(path), QUEUE]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            while process.stdout.readline() not in {"open\n", ""}:
                pass
            yield process
        finally:
            process.kill()


async def killed(path: Path, work: str, *, after_lines: int = 1) -> list[str]:
    """Kill -9 a process in the middle of its work; returns everything it said until then."""

    def run() -> list[str]:
        with a_process(work, path) as process:
            assert process.stdout is not None
            said = [process.stdout.readline().strip() for _ in range(after_lines)]
            process.kill()
            return said + process.stdout.read().split()

    return await asyncio.to_thread(run)


async def test_every_confirmed_message_is_there_after_kill_9(path: Path) -> None:
    async with opened(path):
        pass
    confirmed = await killed(path, "publish", after_lines=500)
    async with opened(path) as broker:
        stored = {delivery.message_id: delivery for delivery in await all_in(broker, QUEUE)}
    assert len(confirmed) >= 500
    assert set(confirmed) <= stored.keys()
    assert all(len(delivery.body) == int(delivery.message_id) % 5000 for delivery in stored.values())


async def test_after_kill_9_what_was_acked_is_gone_and_what_was_leased_is_counted(path: Path) -> None:
    async with opened(path) as broker:
        await broker.publish(numbered(QUEUE, 2))
    await killed(path, "ack")
    async with opened(path) as broker:
        left = await all_in(broker, QUEUE)
    assert [delivery.body for delivery in left] == [b"1", b""]
    assert left[0].deliveries == 2


async def test_poison_that_kills_its_process_ends_in_the_dead_letters(path: Path) -> None:
    async with open_embedded(path) as broker:
        await broker.declare(LIMITED)
        await broker.publish(numbered(QUEUE, 1))
    for _ in range(2):
        await killed(path, "hold")
    async with open_embedded(path) as broker, broker.consume(QUEUE, prefetch=10):
        assert await depth_is(broker, "dead", 1)
        (letter,) = await all_in(broker, "dead")
        assert (letter.body, letter.headers["x-first-death-reason"]) == (b"0", "delivery_limit")


async def test_a_second_owner_is_misconfigured_here_and_in_another_process(path: Path) -> None:
    async with opened(path) as broker:
        with pytest.raises(Misconfigured, match="another process"):
            async with open_embedded(path):
                pass
        await broker.publish(numbered(QUEUE, 1))
    with a_process("publish", path), pytest.raises(Misconfigured, match="another process"):
        async with open_embedded(path):
            pass
    async with opened(path):
        pass
