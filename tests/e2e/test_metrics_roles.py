"""What roles of their own tell on RabbitMQ and PostgreSQL: who exposes what, and a stage that is down."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import Final

import aio_pika
import pytest

from runtime.telemetry.family import SUPERVISOR
from schemas.topology import RECEIVED
from tests.e2e.programs import Role
from tests.e2e.roles import running_roles
from tests.e2e.running import Up
from tests.e2e.scrape import defined, scraped

WORKERS: Final[dict[str, Sequence[str]]] = {
    "dedupe": ("dedupe",),
    "correlate": ("correlate", "--processes", "2"),
    "fan_out": ("fan_out", "--sink", "file"),
    "park": ("park",),
}
LATE_SECONDS: Final = 4.0

pytestmark = pytest.mark.rabbitmq


@pytest.fixture
def roles(
    tmp_path_factory: pytest.TempPathFactory, fresh_amqp_url: str, postgres_dsn: str
) -> Iterator[tuple[Up, dict[str, Role]]]:
    directory = tmp_path_factory.mktemp("roles")
    with running_roles(directory, fresh_amqp_url, store=postgres_dsn, workers=WORKERS, control=True) as running:
        yield running


def test_each_role_tells_its_own_and_a_stage_that_is_down_is_told_by_the_others(
    roles: tuple[Up, dict[str, Role]], fresh_amqp_url: str
) -> None:
    door, workers = roles
    assert scraped(door).families == defined("ingest")
    for name in ("dedupe", "fan_out", "park"):
        assert scraped(workers[name]).families == defined(name)
    _group(workers["correlate"])
    _down(door, workers["dedupe"])
    _unreadable(door, workers, fresh_amqp_url)


def _group(role: Role) -> None:
    """Two processes of one role: each series once for each, and the supervisor's own."""
    told = scraped(role)
    assert told.families == defined("correlate", SUPERVISOR)
    assert {labels["process"] for has in told.series.values() for labels, _ in has} == {"1", "2"}
    assert told.value("callstitch_process_starts_total", process="2") == 1
    assert told.value("callstitch_store_up", stage="correlate", process="2") == 1


def _down(door: Up, dedupe: Role) -> None:
    assert dedupe.terminate() == 0
    assert door.post("axyb-event-callin.json") == 200
    posted = time.monotonic()
    door.wait_for(lambda: scraped(door).value("callstitch_queue_unattended_seconds", queue=RECEIVED) > 0)
    told = scraped(door)
    assert told.value("callstitch_queue_messages", queue=RECEIVED) == 1
    assert told.value("callstitch_queue_consumers", queue=RECEIVED) == 0
    first = told.value("callstitch_queue_unattended_seconds", queue=RECEIVED)
    while time.monotonic() < posted + LATE_SECONDS:
        time.sleep(0.1)
    assert scraped(door).value("callstitch_queue_unattended_seconds", queue=RECEIVED) > first

    dedupe.start(ready=False)  # its age is told for five seconds after the batch
    door.wait_for(lambda: _age(dedupe) >= LATE_SECONDS)
    door.wait_for(lambda: scraped(dedupe).value("callstitch_handled_total", stage="dedupe") == 1)
    door.wait_for(lambda: _age(dedupe) == 0)
    door.wait_for(lambda: scraped(door).value("callstitch_queue_messages", queue=RECEIVED) == 0)
    assert scraped(door).value("callstitch_queue_unattended_seconds", queue=RECEIVED) == 0


def _age(role: Role) -> float:
    try:
        return scraped(role).value("callstitch_oldest_age_seconds", stage="dedupe")
    except OSError:  # it is not there yet
        return 0.0


def _unreadable(door: Up, workers: dict[str, Role], url: str) -> None:
    asyncio.run(_publish(url, b"no bundle at all"))
    door.wait_for(lambda: scraped(workers["dedupe"]).value("callstitch_dead_total", stage="dedupe") == 1)
    door.wait_for(lambda: scraped(workers["park"]).value("callstitch_handled_total", stage="park.dead") == 1)


async def _publish(url: str, body: bytes) -> None:
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        await channel.default_exchange.publish(aio_pika.Message(body), routing_key=RECEIVED)
