"""How old a batch is, and what a stage tells of what it has in hand."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from structlog.testing import capture_logs

from runtime.consume.age import oldest_age
from runtime.telemetry import Telemetry
from schemas.envelope import Envelope, EnvelopeKind, Kind
from schemas.facts import FactKind
from tests.building.facts import T0

NOW = T0 + timedelta(seconds=100)


def an_envelope(
    told: float = 0,
    *,
    kind: EnvelopeKind = Kind.FACT,
    attempt: int = 1,
    body: dict[str, str] | bytes = b"",
    route: str = "",
) -> Envelope:
    at = T0 + timedelta(seconds=told)
    return Envelope(id="e", kind=kind, source="s", at=at, body=body, attempt=attempt, route=route)


def an_event(time: str, route: str = "call.completed.s") -> Envelope:
    body = b'{"id":"1","subject":"\\"time\\":\\"no\\"","time":"%b","data":{}}' % time.encode()
    return an_envelope(kind=Kind.EVENT, body=body, route=route)


def test_the_oldest_that_waited_in_its_queue_tells_the_age() -> None:
    assert oldest_age([an_envelope(90), an_envelope(40), an_envelope(95)], NOW) == 60
    assert oldest_age([], NOW) == 0


def test_what_waited_by_plan_does_not_count() -> None:
    ended = an_envelope(0, body={"kind": FactKind.RECORDING})
    assert oldest_age([an_envelope(0, attempt=2), ended, an_envelope(99)], NOW) == 1


def test_a_door_that_is_ahead_makes_no_age_below_nothing() -> None:
    assert oldest_age([an_envelope(500)], NOW) == 0


def test_an_event_is_as_old_as_its_own_time_and_progress_as_nothing() -> None:
    told = (NOW - timedelta(seconds=7)).isoformat()
    assert oldest_age([an_event(told, "call.progress.s"), an_event(told)], NOW) == 7
    assert oldest_age([an_event(told, "call.progress.s")], NOW) == 0


@pytest.mark.parametrize("foreign", ["yesterday", "2026-01-01T00:00:00", "x" * 5000])
def test_a_foreign_event_has_no_age(foreign: str) -> None:
    assert oldest_age([an_event(foreign)], NOW) == 0


def test_a_time_without_a_zone_stops_nobody() -> None:
    naive = Envelope(id="e", kind=Kind.FACT, source="s", at=datetime(2026, 1, 1), body=b"")  # noqa: DTZ001 - a foreign one
    assert oldest_age([naive, an_envelope(98)], NOW) == 2


def test_what_is_in_hand_or_waits_for_the_end_of_a_rest_grows_older() -> None:
    telemetry = Telemetry()
    stage = telemetry.stage("dedupe")
    assert (value(telemetry, "oldest_age_seconds"), value(telemetry, "in_flight_envelopes")) == (0, 0)

    taken = stage.took(10, 30.0)
    assert value(telemetry, "in_flight_envelopes") == 10
    assert value(telemetry, "oldest_age_seconds") > 30
    assert value(telemetry, "unacked_seconds") > 0

    stage.left(taken)
    assert (value(telemetry, "in_flight_envelopes"), value(telemetry, "unacked_seconds")) == (0, 0)
    assert value(telemetry, "oldest_age_seconds") > 30

    stage.settled(stage.took(1, 2.0))
    assert value(telemetry, "oldest_age_seconds") == 2  # of the last batch, a few seconds long


async def test_a_stage_says_what_it_did_in_one_line_of_sums() -> None:
    stage = Telemetry().stage("dedupe")
    with capture_logs() as lines:
        for age in (1.0, 3.0):
            stage.settled(stage.took(5, age))
        stage.line.tell()
        stage.line.tell()
    assert lines == [
        {
            "event": "stage.batch",
            "log_level": "info",
            "stage": "dedupe",
            "batches": 2,
            "envelopes": 10,
            "seconds": 0.0,
            "oldest_seconds": 3.0,
        }
    ]


def value(telemetry: Telemetry, name: str) -> float:
    found = telemetry.registry.get_sample_value(f"callstitch_{name}", {"stage": "dedupe"})
    assert found is not None
    return found
