"""What only the embedded broker has: one file, one owner, and every way in which that file can fail it."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from runtime.broker.embedded import Embedded, open_embedded
from schemas.errors import Misconfigured, Unavailable, Unconfirmed
from tests.contracts.brokers import a_message, all_in, depth_is, eventually, numbered, numbers, only, receive
from tests.integration.embedded_words import LIMITED, QUEUE, opened
from tests.integration.full_disk import SmallDisk, small_disk


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deeper" / "broker.db"


@pytest.fixture(params=["mounted", "limited"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(str(request.param), tmp_path) as disk:
        yield disk


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Somebody who is not the owner writes into the file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        yield


async def health_is(broker: Embedded, *, expected: bool) -> bool:
    async def there() -> bool:
        return broker.healthy is expected

    return await eventually(there)


def read(path: Path) -> bytes:
    return path.read_bytes()


def move(path: Path, to: Path) -> None:
    path.replace(to)


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [b"this is no SQLite file, whatever its name says" * 100, b"SQLite format 3\0rest"])
async def test_a_file_that_is_not_ours_is_misconfigured(path: Path, damage: bytes) -> None:
    write(path, damage)
    with pytest.raises(Misconfigured, match=str(path)):
        async with open_embedded(path):
            pass
    assert read(path) == damage


@pytest.mark.parametrize("sound_pages", [1, 20])
async def test_a_damaged_file_is_misconfigured(path: Path, sound_pages: int) -> None:
    async with opened(path) as broker:
        await broker.publish([a_message(QUEUE, b"x" * 1000) for _ in range(200)])
    content = read(path)
    sound = sound_pages * 4096
    write(path, content[:sound] + b"\xff" * (len(content) - sound))
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


@pytest.mark.parametrize("disk", ["mounted"], indirect=True)
async def test_what_a_failed_transaction_did_has_not_happened(disk: SmallDisk) -> None:
    async with opened(disk.path / "broker.db") as broker, broker.consume(QUEUE, prefetch=3) as consumer:
        await broker.publish(numbered(QUEUE, 2))
        held = await receive(consumer, 2)
        with disk.full():
            with pytest.raises(Unconfirmed):
                await broker.publish([a_message(QUEUE, b"x" * 700_000)])  # the consumer would take it at once
            with pytest.raises(Unconfirmed):
                await broker.declare(only("other"))
            with pytest.raises(Misconfigured):
                await broker.check(only("other"))
            await consumer.release(held)
            await asyncio.sleep(0.7)
            assert not broker.healthy
            assert await broker.depths([QUEUE]) == {QUEUE: 2}
        again = await receive(consumer, 2)
        assert [(delivery.body, delivery.deliveries) for delivery in again] == [(b"0", 2), (b"1", 2)]
        await broker.declare(only("other"))
        await broker.publish([a_message("other", b"3"), a_message(QUEUE, b"2")])
        assert numbers(await receive(consumer, 1)) == [2]
        assert await broker.depths([QUEUE, "other"]) == {QUEUE: 0, "other": 1}


async def test_it_is_healthy_again_by_itself_once_the_file_takes_writes(path: Path) -> None:
    async with opened(path, confirm_seconds=0.2) as broker:
        with locked(path):
            with pytest.raises(Unconfirmed):
                await broker.publish(numbered(QUEUE, 1))
            assert await health_is(broker, expected=False)
            await asyncio.sleep(0.8)
            assert not broker.healthy
        assert await health_is(broker, expected=True)


async def test_a_publish_that_was_given_up_is_not_stored_later(path: Path) -> None:
    async with opened(path, confirm_seconds=1) as broker:
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
        also = a_message(QUEUE, b"1")._replace(content_type="\ud800")
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


async def test_a_question_dies_with_the_process_that_asked_it(path: Path) -> None:
    async with opened(path) as broker:
        asking = asyncio.create_task(broker.ask(a_message(QUEUE, b"1"), timeout_seconds=30))
        assert await depth_is(broker, QUEUE, 1)
        with closing(sqlite3.connect(path)) as copy, closing(sqlite3.connect(path.with_name("copy.db"))) as target:
            copy.backup(target)
        asking.cancel()
    async with opened(path.with_name("copy.db")) as broker:
        assert await broker.depths([QUEUE]) == {QUEUE: 0}


async def test_an_expired_question_is_not_delivered_even_if_it_could_not_be_withdrawn(path: Path) -> None:
    async with opened(path, confirm_seconds=0.5) as broker:
        asking = asyncio.create_task(broker.ask(a_message(QUEUE, b"1"), timeout_seconds=1))
        assert await depth_is(broker, QUEUE, 1)
        with locked(path):
            assert await asking is None
            await asyncio.sleep(0.7)
        assert await depth_is(broker, QUEUE, 1)
        assert await all_in(broker, QUEUE) == []
        assert await broker.depths([QUEUE]) == {QUEUE: 0}


async def test_in_memory_it_works_alike_and_keeps_nothing() -> None:
    async with opened(None) as broker:
        await broker.publish(numbered(QUEUE, 5))
        async with broker.consume(QUEUE, prefetch=10) as consumer:
            await consumer.ack(await receive(consumer, 3))
        assert numbers(await all_in(broker, QUEUE)) == [3, 4]
    async with opened(None) as broker:
        assert await broker.depths([QUEUE]) == {QUEUE: 0}


async def test_what_nobody_can_take_as_a_dead_letter_is_handed_out_again(path: Path) -> None:
    async with open_embedded(path) as broker:
        await broker.declare(replace(LIMITED, bindings=()))
        await broker.publish(numbered(QUEUE, 1))
        async with broker.consume(QUEUE, prefetch=10) as consumer:
            for _ in range(5):
                await consumer.release(await receive(consumer, 1))
        await broker.declare(LIMITED)
        async with broker.consume(QUEUE, prefetch=10):
            assert await depth_is(broker, "dead", 1)


async def test_a_file_that_was_moved_away_takes_nothing_until_it_is_back_and_a_copy_is_not_it(path: Path) -> None:
    """What was stored in a file that nobody finds again would be lost, and had been answered 200."""
    aside = path.with_name("aside.db")
    async with opened(path) as broker:
        await broker.publish(numbered(QUEUE, 1))
        move(path, aside)
        with pytest.raises(Unconfirmed):
            await broker.publish([a_message(QUEUE, b"1")])
        assert await health_is(broker, expected=False)
        write(path, aside.read_bytes())
        with pytest.raises(Unconfirmed):
            await broker.publish([a_message(QUEUE, b"1")])
        move(aside, path)
        assert await health_is(broker, expected=True)
        await broker.publish([a_message(QUEUE, b"2")])
        assert numbers(await all_in(broker, QUEUE)) == [0, 2]
