"""A push whose thousand items are all bad was a thousand copies of it: the door closed, and the disk filled.

Five of them, of 1 MiB each, come while one valid CDR a second does (docs/notes/security.md section 3).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import asyncpg
import pytest

from console.demo.check import latest_records
from tests.e2e.running import Up, callstitch, running_up, sample
from tests.services.postgresql import PostgreSQL
from tests.services.rabbitmq import RabbitMQ

SECONDS: Final = 10
HOSTILE: Final = 5
MEMORY_KIB: Final = 300 * 1024
DISK_TIMES: Final = 20


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[tuple[Up, Callable[[], int]]]:
    with running_up(tmp_path) as up:
        yield up, lambda: _bytes_below(tmp_path)


@pytest.fixture
def services(
    tmp_path: Path, own_rabbitmq: RabbitMQ, own_postgresql: PostgreSQL
) -> Iterator[tuple[Up, Callable[[], int]]]:
    dsn = own_postgresql.make_database()

    async def database_size() -> int:
        connection = await asyncpg.connect(dsn)
        try:
            return int(await connection.fetchval("SELECT pg_database_size(current_database())"))
        finally:
            await connection.close()

    with running_up(tmp_path, broker=own_rabbitmq.url, store=dsn) as up:
        yield up, lambda: _bytes_below(tmp_path) + _bytes_below(own_rabbitmq.home) + asyncio.run(database_size())


@pytest.mark.parametrize("stack", ["embedded", pytest.param("services", marks=pytest.mark.rabbitmq)])
def test_pushes_of_a_thousand_bad_items_cost_nobody_else_anything(stack: str, request: pytest.FixtureRequest) -> None:
    up, disk = request.getfixturevalue(stack)
    hostile = json.dumps({"eventType": "fee", "feeLst": [1] * 1000, "pad": "x" * 1_040_000}).encode()
    before, pushed, largest = disk(), 0, 0
    answers: list[int] = []
    for second in range(SECONDS):
        began = time.monotonic()
        if second < HOSTILE:
            assert up.post(hostile) == 200
            pushed += len(hostile)
        valid = sample("axb-fee.json").replace(b"1200_1827", b"valid_%d" % second)
        answers.append(up.post(valid, "/fee"))
        pushed += len(valid)
        largest = max(largest, disk())
        time.sleep(max(0.0, began + 1 - time.monotonic()))
    assert answers == [200] * SECONDS
    up.wait_for(lambda: len([call for call in latest_records(up.events()) if call.startswith("valid_")]) == SECONDS)
    up.wait_for(lambda: f"{HOSTILE} message(s)" in callstitch(up, "quarantine", "list"))
    assert up.is_ready()
    assert _most_memory_kib(up) < MEMORY_KIB
    assert max(largest, disk()) - before < DISK_TIMES * pushed
    assert f"up to {HOSTILE * 1000} bad items" in callstitch(up, "quarantine", "list")


def _bytes_below(directory: Path) -> int:
    total = 0
    for path in directory.rglob("*"):
        try:
            total += path.stat().st_blocks * 512
        except FileNotFoundError:
            continue
    return total


def _most_memory_kib(up: Up) -> int:
    status = Path(f"/proc/{up.process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")))
