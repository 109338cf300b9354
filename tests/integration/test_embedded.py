"""What only the embedded broker has: one file, one owner, and every way in which that file can fail it."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Final

import pytest

from runtime.broker.base import Broker
from runtime.broker.embedded import Embedded, open_embedded
from schemas.errors import Misconfigured, Unavailable, Unconfirmed
from schemas.topology import Binding, Exchange, Queue, Topology
from tests.contracts.brokers import a_message, all_in, depth_is, eventually, numbered, numbers, only, receive
from tests.integration.full_disk import SmallDisk, small_disk

QUEUE: Final = "queue"
RETRY: Final = Topology(
    exchanges=(Exchange(name="retry", kind="fanout"),),
    queues=(Queue(name="tier", dead_letter_exchange="", ttl_seconds=3600),),
    bindings=(Binding(exchange="retry", queue="tier"),),
)


class Clock:
    """Wall-clock seconds that only a test moves."""

    now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deeper" / "broker.db"


@pytest.fixture(params=["mounted", "limited"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(str(request.param), tmp_path) as disk:
        yield disk


@asynccontextmanager
async def opened(path: Path | None, *queues: str, confirm_seconds: float = 5) -> AsyncIterator[Embedded]:
    async with open_embedded(path, confirm_seconds=confirm_seconds) as broker:
        await broker.declare(only(*(queues or (QUEUE,))))
        yield broker


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Somebody who is not the owner writes into the file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        yield


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


def kill_and_read(process: subprocess.Popen[str], *, after_lines: int) -> list[str]:
    """kill -9 it in the middle of its work; returns everything it said until then."""
    assert process.stdout is not None
    said = [process.stdout.readline().strip() for _ in range(after_lines)]
    process.kill()
    return said + process.stdout.read().split()


async def test_every_confirmed_message_is_there_after_kill_9(path: Path) -> None:
    async with opened(path):
        pass
    with a_process("publish", path) as process:
        confirmed = await asyncio.to_thread(kill_and_read, process, after_lines=500)
    async with opened(path) as broker:
        stored = {delivery.message_id: delivery for delivery in await all_in(broker, QUEUE)}
    assert len(confirmed) >= 500
    assert set(confirmed) <= stored.keys()
    assert all(len(delivery.body) == int(delivery.message_id) % 5000 for delivery in stored.values())


async def test_after_kill_9_what_was_acked_is_gone_and_what_was_leased_is_counted(path: Path) -> None:
    async with opened(path) as broker:
        await broker.publish(numbered(QUEUE, 2))
    with a_process("consume", path) as process:
        await asyncio.to_thread(kill_and_read, process, after_lines=1)
    async with opened(path) as broker:
        (left,) = await all_in(broker, QUEUE)
    assert (left.body, left.deliveries) == (b"1", 2)


async def test_poison_that_kills_its_process_ends_in_the_dead_letters(path: Path) -> None:
    poisoned = Topology(
        exchanges=(Exchange(name="dead-letters", kind="fanout"),),
        queues=(Queue(name=QUEUE, dead_letter_exchange="dead-letters", delivery_limit=1), Queue(name="dead")),
        bindings=(Binding(exchange="dead-letters", queue="dead"),),
    )
    async with open_embedded(path) as broker:
        await broker.declare(poisoned)
        await broker.publish(numbered(QUEUE, 2))
    for _ in range(2):
        with a_process("consume", path) as process:
            await asyncio.to_thread(kill_and_read, process, after_lines=1)
            async with open_embedded(None):
                pass
        async with open_embedded(path) as broker:
            await broker.publish(numbered(QUEUE, 1))
    async with open_embedded(path) as broker, broker.consume(QUEUE, prefetch=10):
        assert await depth_is(broker, "dead", 1)


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


@pytest.mark.parametrize("damage", [b"this is no SQLite file, whatever its name says" * 100, b"SQLite format 3\0rest"])
async def test_a_file_that_is_not_ours_is_misconfigured(path: Path, damage: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(damage)
    with pytest.raises(Misconfigured, match=str(path)):
        async with open_embedded(path):
            pass
    assert path.read_bytes() == damage


async def test_a_file_damaged_in_the_middle_is_misconfigured(path: Path) -> None:
    async with opened(path) as broker:
        await broker.publish([a_message(QUEUE, b"x" * 1000) for _ in range(200)])
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(Misconfigured, match=str(path)):
        async with open_embedded(path):
            pass


async def test_a_file_of_a_newer_version_is_misconfigured(path: Path) -> None:
    async with opened(path):
        pass
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(Misconfigured, match="version 99"):
        async with open_embedded(path):
            pass


async def test_a_place_where_no_file_can_be_is_misconfigured(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for nowhere in (tmp_path / "file" / "broker.db", tmp_path):
        with pytest.raises(Misconfigured, match="cannot open"):
            async with open_embedded(nowhere):
                pass


async def test_a_file_that_a_stranger_keeps_locked_is_unavailable(path: Path) -> None:
    async with opened(path):
        pass
    with locked(path), pytest.raises(Unavailable):
        async with open_embedded(path, confirm_seconds=0.2):
            pass
    async with opened(path) as broker:
        assert broker.healthy


async def test_nobody_else_may_read_the_file(path: Path) -> None:
    async with opened(path) as broker:
        await broker.publish(numbered(QUEUE, 1))
        files = sorted(path.parent.iterdir())
        assert path.with_name("broker.db-wal") in files
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


async def test_a_full_disk_is_unconfirmed_and_work_goes_on_when_there_is_room(disk: SmallDisk) -> None:
    async with opened(disk.path / "broker.db") as broker, broker.consume(QUEUE, prefetch=2) as consumer:
        await broker.publish(numbered(QUEUE, 4))
        held = await receive(consumer, 2)
        with disk.full():
            with pytest.raises(Unconfirmed):
                await broker.publish([a_message(QUEUE, b"x" * 700_000)])
            assert not broker.healthy
            await consumer.ack(held)
        assert numbers(await receive(consumer, 2)) == [2, 3]
        await broker.publish([a_message(QUEUE, b"4")])
        assert broker.healthy
    async with opened(disk.path / "broker.db") as broker:
        left = await all_in(broker, QUEUE)
    assert [(delivery.body, delivery.deliveries) for delivery in left] == [(b"2", 2), (b"3", 2), (b"4", 1)]


async def test_a_publish_that_was_given_up_is_not_stored_later(path: Path) -> None:
    async with opened(path, confirm_seconds=0.3) as broker:
        with locked(path):
            with pytest.raises(Unconfirmed):
                await broker.publish(numbered(QUEUE, 1))
            again = asyncio.create_task(broker.publish(numbered(QUEUE, 1)))
            await asyncio.sleep(0.05)
            again.cancel()
        await broker.publish([a_message(QUEUE, b"2")])
        assert numbers(await all_in(broker, QUEUE)) == [2]


async def test_what_cannot_be_stored_does_not_keep_its_neighbours_from_it(path: Path) -> None:
    async with opened(path) as broker:
        impossible = a_message(QUEUE, b"1", headers={"half a character": "\ud800"})
        also = a_message(QUEUE, b"1")
        object.__setattr__(also, "content_type", "\ud800")
        outcomes = await asyncio.gather(
            *(broker.publish([message]) for message in (*numbered(QUEUE, 3), impossible, also, a_message(QUEUE, b"3"))),
            return_exceptions=True,
        )
        assert [type(outcome) for outcome in outcomes if outcome is not None] == [TypeError, UnicodeEncodeError]
        assert sorted(numbers(await all_in(broker, QUEUE))) == [0, 1, 2, 3]
        assert broker.healthy


async def test_closing_finishes_what_was_given_to_it(path: Path) -> None:
    async with opened(path) as broker:
        publishing = asyncio.create_task(broker.publish(numbered(QUEUE, 10)))
        await asyncio.sleep(0)
    await publishing
    with pytest.raises(Unavailable):
        await broker.publish(numbered(QUEUE, 1))
    assert not broker.healthy
    async with opened(path) as broker:
        assert await broker.depths([QUEUE]) == {QUEUE: 10}


async def test_a_retry_that_fell_due_while_nobody_ran_returns_at_once(path: Path) -> None:
    clock = Clock()
    async with open_embedded(path, clock=clock) as broker:
        await broker.declare(RETRY)
        await broker.declare(only(QUEUE))
        await broker.publish([a_message(QUEUE, b"1", exchange="retry")])
        clock.now += 3599
        await asyncio.sleep(0.2)
        assert await broker.depths([QUEUE, "tier"]) == {QUEUE: 0, "tier": 1}
    clock.now += 2
    async with open_embedded(path, clock=clock) as broker:
        assert await depth_is(broker, QUEUE, 1)


async def test_a_retry_whose_queue_does_not_exist_waits_once_more(path: Path) -> None:
    clock = Clock()
    async with open_embedded(path, clock=clock) as broker:
        await broker.declare(RETRY)
        await broker.publish([a_message(QUEUE, b"1", exchange="retry")])
        for expected in ({"tier": 1}, {"tier": 1}):
            clock.now += 3601
            await asyncio.sleep(0.2)
            assert await broker.depths(["tier"]) == expected
        await broker.declare(only(QUEUE))
        clock.now += 3601
        assert await depth_is(broker, QUEUE, 1)


async def test_a_question_dies_with_the_process_that_asked_it(path: Path) -> None:
    async with opened(path) as broker:
        asking = asyncio.create_task(broker.ask(a_message(QUEUE, b"1"), timeout_seconds=30))
        assert await depth_is(broker, QUEUE, 1)
        with closing(sqlite3.connect(path)) as copy, closing(sqlite3.connect(path.with_name("copy.db"))) as target:
            copy.backup(target)
        asking.cancel()
    async with opened(path.with_name("copy.db")) as broker:
        assert await broker.depths([QUEUE]) == {QUEUE: 0}


async def test_in_memory_it_works_alike_and_keeps_nothing(tmp_path: Path) -> None:
    async with opened(None) as broker:
        await broker.publish(numbered(QUEUE, 5))
        async with broker.consume(QUEUE, prefetch=10) as consumer:
            await consumer.ack(await receive(consumer, 3))
        assert numbers(await all_in(broker, QUEUE)) == [3, 4]
    async with opened(None) as broker:
        assert await broker.depths([QUEUE]) == {QUEUE: 0}
    assert list(tmp_path.iterdir()) == []
