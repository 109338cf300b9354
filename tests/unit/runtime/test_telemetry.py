"""What the door and the stages count, and under which labels."""

from __future__ import annotations

from runtime.telemetry import Telemetry
from schemas.envelope import Envelope, EnvelopeKind, Kind
from tests.building.facts import T0


def an_envelope(kind: EnvelopeKind, route: str = "") -> Envelope:
    return Envelope(id="e", kind=kind, source="s", at=T0, body=b"", route=route)


def test_the_door_counts_answers_by_source_and_status_and_times_them_by_source() -> None:
    telemetry = Telemetry()
    door, other = telemetry.door("huawei"), telemetry.door("unknown")
    for status in (200, 200, 503):
        door.answered(status, 0.25)
    other.answered(404, 0.5)
    value = telemetry.registry.get_sample_value
    assert value("callstitch_requests_total", {"source": "huawei", "status": "200"}) == 2
    assert value("callstitch_requests_total", {"source": "huawei", "status": "503"}) == 1
    assert value("callstitch_requests_total", {"source": "unknown", "status": "404"}) == 1
    assert value("callstitch_door_seconds_sum", {"source": "huawei"}) == 0.75
    assert value("callstitch_door_seconds_bucket", {"source": "huawei", "le": "0.1"}) == 0
    assert value("callstitch_door_seconds_bucket", {"source": "huawei", "le": "0.25"}) == 3


def test_a_stage_counts_outputs_by_kind() -> None:
    telemetry = Telemetry()
    stage = telemetry.stage("dedupe")
    stage.produced([an_envelope(Kind.FACT), an_envelope(Kind.QUARANTINED), an_envelope(Kind.FACT)])
    value = telemetry.registry.get_sample_value
    assert value("callstitch_outputs_total", {"stage": "dedupe", "kind": "fact"}) == 2
    assert value("callstitch_outputs_total", {"stage": "dedupe", "kind": "quarantined"}) == 1


def test_what_an_alert_looks_at_is_there_before_the_first_one() -> None:
    telemetry = Telemetry()
    telemetry.stage("fan_out.hook")
    for name in ("dead_total", "retried_total", "tick_failed_total", "unwanted_total", "held", "paused"):
        assert telemetry.registry.get_sample_value(f"callstitch_{name}", {"stage": "fan_out.hook"}) == 0
