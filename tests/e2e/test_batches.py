"""Two queues of other teams, one in batches and one not, that change places while calls are played: each gets all."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from runtime.broker import open_broker
from runtime.broker.base import Delivery
from schemas.envelope import BATCH_CONTENT_TYPE, EVENT_CONTENT_TYPE
from schemas.settings.addresses import broker_address
from tests.building.pages import blocks
from tests.e2e.balance import parked, wait_until_balanced
from tests.e2e.running import Up, callstitch, playing, running_up
from tests.e2e.test_reload import edited, reloaded
from tests.services import debian

CALLS: Final = 60
RATE: Final = 60.0
BALANCED_SECONDS: Final = 120.0
READ_SECONDS: Final = 60.0
(PROGRAM,) = [block.text for block in blocks("docs/contract.md") if block.info == "python"]
BATCHES, SINGLE = ('[[queue]]\nname = "billing"\nbatch = true\n', '[[queue]]\nname = "crm"\n')

pytestmark = pytest.mark.rabbitmq


def test_queues_change_from_single_events_to_batches_and_back_and_miss_none(
    tmp_path: Path, fresh_amqp_url: str
) -> None:
    with running_up(tmp_path, broker=fresh_amqp_url, extra=BATCHES + SINGLE) as up:
        with playing(up, calls=CALLS, rate=RATE) as emulator:
            emulator.wait_until_answered(80)
            edited(up, BATCHES + SINGLE, BATCHES.replace("true", "false") + SINGLE + "batch = true\n")
            assert reloaded(up)["keys"] == ["queue.billing.batch", "queue.crm.batch"]
            truth = emulator.finish()
            wait_until_balanced(up, truth, BALANCED_SECONDS)
        assert parked(up) == {"quarantine": 0, "dead": 0, "unrouted": 0}
        up.wait_for(lambda: "batch(es) of up to 64" in reconciled(up))
        events = {event["id"] for event in up.events()}
        held = {queue: asyncio.run(waiting(fresh_amqp_url, queue)) for queue in ("billing", "crm")}
        forms = {content_type for found in held.values() for content_type, _ in found}
        assert forms == {EVENT_CONTENT_TYPE, BATCH_CONTENT_TYPE}, "each went out in its form"
        for queue, found in held.items():
            assert sum(count for _, count in found) >= len(events)
            with consuming(tmp_path, fresh_amqp_url, queue) as told:
                up.wait_for(lambda: ids_in(told) >= events, READ_SECONDS)
                assert ids_in(told) == events
        assert up.terminate() == 0


def reconciled(up: Up) -> str:
    """What the command prints; it succeeds once a door has told, after a minute, what it answered."""
    try:
        return callstitch(up, "reconcile")
    except subprocess.CalledProcessError as error:
        return str(error.stdout)


async def waiting(url: str, queue: str) -> list[tuple[str, int]]:
    """The form of each message that waits, and how many events it holds; all go back."""
    async with open_broker(broker_address(url)) as broker:
        wanted = (await broker.depths([queue]))[queue]
        found: list[Delivery] = []
        async with broker.consume(queue, prefetch=wanted) as consumer:
            while len(found) < wanted:
                found += await consumer.batch(wanted)
            await consumer.release([*found, *await consumer.stop()])
    return [(one.content_type, one.events) for one in found]


def ids_in(told: Path) -> set[str]:
    return {line.split()[1] for line in told.read_text().splitlines() if len(line.split()) > 1}


@contextmanager
def consuming(directory: Path, url: str, queue: str) -> Iterator[Path]:
    """The documented program as a process of its own; what it prints."""
    told, program = directory / f"{queue}.txt", directory / "consumer.py"
    program.write_text(PROGRAM)
    with told.open("wb") as out:
        process = subprocess.Popen(
            [*debian.dies_with_us(), sys.executable, str(program)],
            env={**os.environ, "AMQP_URL": url, "QUEUE": queue},
            stdout=out,
        )
        try:
            yield told
            assert process.poll() is None, "the documented consumer ended"
        finally:
            process.kill()
            process.wait()
