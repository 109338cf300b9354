"""The drills of the runbook: a running system, a fault, and the alerts that it makes fire and lets be quiet again.

Every metric that dashboard and alerts ask for is there in a scrape of it, RabbitMQ's own too. One file, one system,
in this order: what cannot be quiet again in time (an increase over 15 minutes) stands last.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from tests.deploy.system import System, watched_system
from tests.deploy.watching import expressions_of_alerts, expressions_of_dashboard, metrics_in
from tests.e2e.programs import wait_for
from tests.e2e.running import callstitch

PATIENCE_SECONDS = 90.0
REJECTED = 'callstitch_requests_total{status=~"4..", source!="unknown"}'  # nobody pushes with a wrong signature here
NOTHING_ON_THE_WAY = 'max(callstitch_queue_messages{queue=~"callstitch[.].*", queue!~".*sink.*"}) == 0'
_SELECTOR = re.compile(r"\b[a-z_]+\{[^}]*\}")
pytestmark = [pytest.mark.rabbitmq, pytest.mark.timeout(420)]


@pytest.fixture(scope="module")
def system(prometheus_package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    assert prometheus_package.exists()
    with watched_system(tmp_path_factory.mktemp("watched")) as running:
        yield running


def test_a_healthy_system_is_scraped_whole_and_no_alert_fires(system: System) -> None:
    wait_for(lambda: all(one["health"] == "up" for one in system.prometheus.targets()), PATIENCE_SECONDS)
    wait_for(lambda: system.prometheus.query("sum(callstitch_events_total) > 20"), PATIENCE_SECONDS)
    system.wait_until_quiet()


def test_every_metric_of_dashboard_and_alerts_is_there(system: System) -> None:
    asked = [*expressions_of_alerts(), *expressions_of_dashboard()]
    wanted = set().union(*map(metrics_in, asked))
    assert len(wanted) > 40
    wait_for(lambda: wanted <= system.prometheus.names(), PATIENCE_SECONDS, why=lambda: str(missing(system, wanted)))


def test_every_panel_shows_something(system: System) -> None:
    asked = expressions_of_dashboard()
    wait_for(
        lambda: all(system.prometheus.query(one) for one in asked),
        PATIENCE_SECONDS,
        why=lambda: str([one for one in asked if not system.prometheus.query(one)]),
    )


def test_every_label_that_an_alert_asks_for_is_there(system: System) -> None:
    """An alert on a stage, a queue or a state that nobody tells would be quiet for ever."""
    asked = {one for expression in expressions_of_alerts() for one in _SELECTOR.findall(expression)}
    assert len(asked) > 10
    assert [one for one in sorted(asked - {REJECTED}) if not system.prometheus.query(one)] == []


def test_a_stage_that_is_down(system: System) -> None:
    correlate = system.workers["correlate"]
    correlate.kill()
    system.wait_until_fire("CallstitchDown", "CallstitchQueueUnattended", "CallstitchNoConsumer")
    assert system.door.is_ready()
    correlate.start()
    system.wait_until_quiet()


def test_the_store_is_away(system: System) -> None:
    system.postgresql.stop()
    system.wait_until_fire("CallstitchStoreAway", "CallstitchHeld", "CallstitchNotReady", "CallstitchLate")
    assert system.door.is_ready()
    system.postgresql.start()
    system.wait_until_quiet()


def test_the_broker_is_away(system: System) -> None:
    system.rabbitmq.stop()
    system.wait_until_fire("RabbitmqDown", "CallstitchBrokerAway", "CallstitchNoDoor", "CallstitchDoorRefuses")
    system.rabbitmq.start()
    wait_for(lambda: system.prometheus.firing() <= {"CallstitchDoorRefuses"}, PATIENCE_SECONDS)  # it looks back 5 m


def test_a_sink_that_wants_nothing_more(system: System) -> None:
    system.endpoint.status = 410
    system.wait_until_fire("CallstitchSinkPaused")
    system.endpoint.status = 204
    callstitch(system.door, "sink", "resume", "hook")
    wait_for(lambda: "CallstitchSinkPaused" not in system.prometheus.firing(), PATIENCE_SECONDS)


def test_a_sink_whose_endpoint_is_away(system: System) -> None:
    assert "CallstitchDeadLetters" not in system.prometheus.firing()
    system.endpoint.status = 500
    system.wait_until_fire("CallstitchSinkAway")
    assert "CallstitchDeadLetters" not in system.prometheus.firing()
    system.endpoint.status = 204
    wait_for(lambda: "CallstitchSinkAway" not in system.prometheus.firing(), PATIENCE_SECONDS)


def test_work_that_fails_for_good(system: System) -> None:
    assert not {"CallstitchDeadLetters", "CallstitchSinkFails"} & system.prometheus.firing()
    system.endpoint.status = 422
    system.wait_until_fire("CallstitchSinkFails", "CallstitchDeadLetters")
    system.endpoint.status = 204
    wait_for(lambda: "CallstitchSinkFails" not in system.prometheus.firing(), PATIENCE_SECONDS)


def test_a_push_that_nobody_can_read(system: System) -> None:
    assert "CallstitchQuarantine" not in system.prometheus.firing()
    assert system.door.post(b"no JSON") == 200
    system.wait_until_fire("CallstitchQuarantine")


def test_something_that_was_answered_is_lost(system: System) -> None:
    """A closed hour in which a door told one push more than there are receipts, and queues that hold nothing."""
    assert system.door.terminate() == 0  # recordings are served on, so that no queue waits for them
    wait_for(lambda: system.prometheus.query(NOTHING_ON_THE_WAY), PATIENCE_SECONDS)
    hour = (datetime.now(UTC) - timedelta(hours=5)).strftime("%Y-%m-%dT%H")
    asyncio.run(execute(system.store, "INSERT INTO callstitch.tally VALUES ($1, 'huawei', $2, 1)", "lost", hour))
    park = system.workers["park"]
    assert park.terminate() == 0
    park.start()  # it compares at its start, and then every five minutes
    system.wait_until_fire("CallstitchLedgerDiffers")


async def execute(dsn: str, statement: str, *values: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement, *values)
    finally:
        await connection.close()


def missing(system: System, wanted: set[str]) -> list[str]:
    return sorted(wanted - system.prometheus.names())
