from __future__ import annotations

import asyncio
import os
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from schemas.envelope import Envelope, Kind
from schemas.errors import Misconfigured, Permanent
from workers.sinks.jsonl import Jsonl

AT = datetime(2026, 11, 21, 9, 0, 0, tzinfo=UTC)


def now() -> datetime:
    return AT


def an_event(n: int, body: bytes | None = None) -> Envelope:
    return Envelope(
        id=f"event-{n}", kind=Kind.EVENT, source="huawei-bj", at=AT, body=body or f'{{"id":"event-{n}"}}'.encode()
    )


def a_sink(path: Path) -> Jsonl:
    return Jsonl(name="file", kind="jsonl", path=path)


async def test_each_event_is_one_line_in_a_file_only_we_can_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "calls.jsonl"
    async with a_sink(path).open(now) as sink:
        assert await sink.write([an_event(1), an_event(2)]) == [None, None]
        assert await sink.write([an_event(3)]) == [None]
        assert path.read_bytes() == b'{"id":"event-1"}\n{"id":"event-2"}\n{"id":"event-3"}\n'
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_batch_is_one_write_and_one_fsync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    write, fsync = os.write, os.fsync

    def watched_write(fd: int, data: bytes) -> int:
        done.append(f"write {len(data)}")
        return write(fd, data)

    def watched_fsync(fd: int) -> None:
        done.append("fsync")
        fsync(fd)

    async with a_sink(tmp_path / "calls.jsonl").open(now) as sink:
        with monkeypatch.context() as watched:
            watched.setattr(os, "write", watched_write)
            watched.setattr(os, "fsync", watched_fsync)
            await sink.write([an_event(n) for n in range(9)])
    assert [one for one in done if one != "write 1"] == ["write 153", "fsync"]  # the loop wakes itself with one byte


@pytest.mark.parametrize("torn", [b'{"id":"ev', b"x" * 200_000])
async def test_a_torn_last_line_is_cut_at_open(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "calls.jsonl"
    for whole in (b'{"id":"event-0"}\n', b""):
        path.write_bytes(whole + torn)
        async with a_sink(path).open(now) as sink:
            await sink.write([an_event(1)])
        assert path.read_bytes() == whole + b'{"id":"event-1"}\n'


async def test_batches_written_at_once_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    async with a_sink(path).open(now) as sink:
        await asyncio.gather(*(sink.write([an_event(n), an_event(n)]) for n in range(50)))
    lines = path.read_bytes().splitlines()
    assert [lines[n] == lines[n + 1] for n in range(0, 100, 2)] == [True] * 50
    assert len(set(lines)) == 50


async def test_a_cancelled_write_is_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    async with a_sink(path).open(now) as sink:
        for n in range(20):
            task = asyncio.create_task(sink.write([an_event(n)] * 200))
            await asyncio.sleep(0)
            task.cancel()
    content = path.read_bytes()
    assert content.count(b"\n") % 200 == 0
    assert content == b"" or content.endswith(b"}\n")


async def test_the_file_stays_open_until_a_cancelled_write_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    started, fsync = threading.Event(), os.fsync

    def slow_fsync(fd: int) -> None:
        started.set()
        time.sleep(0.2)
        fsync(fd)
        synced.append("fsync")

    async with a_sink(tmp_path / "calls.jsonl").open(now) as sink:
        monkeypatch.setattr(os, "fsync", slow_fsync)
        task = asyncio.create_task(sink.write([an_event(1)]))
        await asyncio.to_thread(started.wait)
        task.cancel()
    assert synced == ["fsync"]


async def test_a_path_that_cannot_be_a_file_is_the_operators_to_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "calls.jsonl"):
        with pytest.raises(Misconfigured):
            async with a_sink(path).open(now):
                pass


async def test_an_event_of_two_lines_is_refused_alone(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    async with a_sink(path).open(now) as sink:
        first, second = await sink.write([an_event(1, b'{\n"id":1}'), an_event(2)])
    assert isinstance(first, Permanent)
    assert second is None
    assert path.read_bytes() == b'{"id":"event-2"}\n'
