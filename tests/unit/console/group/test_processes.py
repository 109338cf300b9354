"""`--processes N`: what may be played by several, and one exposition of all their metrics."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from console.group.admin import joined
from console.group.supervisor import refuse_several
from runtime.telemetry import Telemetry
from schemas.errors import Misconfigured
from workers.config import Config

FILE = {"name": "file", "kind": "jsonl", "path": "calls.jsonl"}
CRM = {
    "name": "crm",
    "kind": "webhook",
    "url": "https://crm.example.com",
    "secret": "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ=",
}


def a_config(*, broker: str = "amqp://localhost/", store: str = "sqlite:state") -> Config:
    return Config.model_validate({"broker": broker, "store": store, "sink": [FILE, CRM]})


def some_metrics(*, requests: int, held: int) -> str:
    telemetry = Telemetry()
    door = telemetry.door("huawei")
    door.by_status.update({200: requests, 503: 1})
    door.buckets[-1] = 1
    telemetry.held.labels("dedupe").set(held)
    return telemetry.text().decode()


@pytest.mark.parametrize("stage", ["dedupe", "correlate", "park"])
def test_state_in_sqlite_is_for_one_process_and_in_postgresql_for_any_number(stage: str) -> None:
    with pytest.raises(Misconfigured, match=f"one process owns the state of {stage}"):
        refuse_several(a_config(), stage, sink=None)

    refuse_several(a_config(store="postgresql://localhost/calls"), stage, sink=None)


@pytest.mark.parametrize("stage", [None, "fetch_recording", "decide"])
def test_what_has_no_state_of_its_own_may_be_several_on_sqlite(stage: str | None) -> None:
    refuse_several(a_config(), stage, sink=None)


def test_a_jsonl_file_has_one_writer_and_a_webhook_any_number() -> None:
    for wanted in (None, "file"):
        with pytest.raises(Misconfigured, match=r'the jsonl sink "file"$'):
            refuse_several(a_config(), "fan_out", sink=wanted)

    refuse_several(a_config(), "fan_out", sink="crm")


@pytest.mark.parametrize("stage", [None, "decide"])
def test_the_embedded_broker_is_one_process(stage: str | None) -> None:
    with pytest.raises(Misconfigured, match="embedded broker"):
        refuse_several(a_config(broker="embedded:b.db", store="postgresql://localhost/calls"), stage, sink=None)


def test_a_metric_has_one_family_and_a_series_for_each_process() -> None:
    text = joined({"1": some_metrics(requests=3, held=1), "2": some_metrics(requests=4, held=0)}).decode()

    families = {family.name: family for family in text_string_to_metric_families(text)}
    requests = {
        (sample.labels["process"], sample.labels["status"]): sample.value
        for sample in families["callstitch_requests"].samples
        if sample.name == "callstitch_requests_total"
    }
    held = {sample.labels["process"]: sample.value for sample in families["callstitch_held"].samples}
    counts = [s.value for s in families["callstitch_door_seconds"].samples if s.name.endswith("_count")]
    wanted = {("1", "200"): 3, ("1", "503"): 1, ("2", "200"): 4, ("2", "503"): 1}
    assert {key: count for key, count in requests.items() if count} == wanted
    assert (held, counts) == ({"1": 1, "2": 0}, [1, 1])
    assert text.count("# TYPE callstitch_requests_total counter") == 1
    assert families["callstitch_door_seconds"].type == "histogram"


def test_nobody_answering_is_an_empty_exposition() -> None:
    assert joined({}) == b""
