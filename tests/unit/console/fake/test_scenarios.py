"""`callstitch fake`: made-up calls whose events are as ours are, the same for the same seed, with every edge."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, get_args

import pytest
from typer.testing import CliRunner, Result

from console.fake.scenarios import SCENARIOS, events_of
from console.main import app
from schemas.topology import EVENT_TYPES
from schemas.vocabulary import Outcome
from tests.building.schemas import problems

ROOT: Final = Path(__file__).parents[4]


@cache
def bodies(name: str, seed: int = 1) -> Sequence[bytes]:
    made = asyncio.run(events_of(name, seed=seed, source="fake"))
    return [event.body for event in made if isinstance(event.body, bytes)]


def events(name: str, seed: int = 1) -> list[dict[str, Any]]:
    return [json.loads(body) for body in bodies(name, seed)]


def short(event: Mapping[str, Any]) -> str:
    return str(event["type"]).removeprefix("callstitch.").removesuffix(".v1")


def told(name: str) -> list[str]:
    return [short(event) for event in events(name) if short(event) != "call.progress"]


def records(name: str) -> list[dict[str, Any]]:
    return [event["data"]["call"] for event in events(name) if "call" in event["data"]]


EVERYTHING: Final = [event for name in SCENARIOS for event in events(name)]


@pytest.mark.parametrize("name", ["amended", "decided", "number", "aliyun"])
def test_the_same_seed_makes_the_same_bytes_and_another_seed_other_calls(name: str) -> None:
    bodies.cache_clear()
    first = bodies(name)
    bodies.cache_clear()
    assert bodies(name) == first
    ids = {seed: {event["id"] for event in events(name, seed)} for seed in (1, 2)}
    subjects = {seed: {event["subject"] for event in events(name, seed)} for seed in (1, 2)}
    assert not ids[1] & ids[2]
    assert not subjects[1] & subjects[2]


def test_every_type_and_every_outcome_and_every_reason_is_in_one() -> None:
    assert {short(event) for event in EVERYTHING} == set(EVENT_TYPES)
    calls = [record for name in SCENARIOS for record in records(name)]
    assert {call["outcome"] for call in calls} == set(get_args(Outcome))
    reasons = {event["data"].get("reason") for event in EVERYTHING if "call" in event["data"]}
    assert reasons == {"cdr", "deadline", "event", "cdr_added", "cdr_amended", "recording"}
    assert {call["platform"] for call in calls} > {"huawei_privatenumber", "aliyun_pnp", "jiuyun_axb"}


def test_each_edge_is_what_its_name_says() -> None:
    assert told("answered") == ["call.completed", "recording.stored"]
    assert told("no_cdr") == ["call.incomplete"]
    assert told("late_cdr") == ["call.incomplete", "call.completed", "recording.stored"]
    assert records("late_cdr")[-1]["late"] is True
    assert told("late_event") == ["call.completed", "call.amended"]
    assert told("recording_failed") == ["call.completed", "recording.failed"]
    assert [record["complete"] for record in records("event_missing")] == [False]
    assert records("unknown")[0]["talk_seconds"] is None
    assert "encoding" in records("repaired")[0]["repaired"]
    assert "cut" in records("crowded")[0]["repaired"]
    assert max(map(len, bodies("crowded"))) > 64 * 1024
    (no_times,) = [cdr for cdr in records("redialed")[-1]["cdrs"] if cdr["started_at"] is None]
    assert no_times["answered_at"] is None
    assert no_times["ended_at"] is None
    assert records("decided")[0]["decision"]["by"] == "service"
    assert [event["data"]["sms"]["decision"] is None for event in events("sms")] == [False, True]


def test_a_corrected_cdr_costs_a_minute_more_and_revisions_have_a_gap_without_recordings() -> None:
    first, *_, last = records("amended")
    (before,), (after,) = first["cdrs"], last["cdrs"]
    assert after["record_id"] == before["record_id"]
    assert after["billed_minutes"] == before["billed_minutes"] + 1
    assert [(short(e), e["revision"]) for e in events("amended") if short(e) != "call.progress"] == [
        ("call.completed", 1),
        ("recording.stored", 2),
        ("call.amended", 3),
    ]


def test_traffic_comes_twice_and_backwards() -> None:
    twice, backwards = events("told_twice"), events("out_of_order")
    assert twice[::2] == twice[1::2]
    assert [e["revision"] for e in backwards if "revision" in e] == [3, 2, 1]


def test_events_follow_the_published_schemas() -> None:
    assert [found for event in EVERYTHING for found in problems(event)] == []
    assert len(EVERYTHING) > 40


def fake(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["fake", *arguments])


def test_without_a_broker_events_are_printed_as_they_are_one_a_line() -> None:
    result = fake("--scenario", "amended", "--events", "call.completed,call.amended")
    assert result.exit_code == 0, result.output
    assert result.stdout_bytes.splitlines() == [
        body for body in bodies("amended") if b'"callstitch.call.' in body and b'.progress.v1"' not in body
    ]


def test_list_names_the_scenarios_and_an_unknown_word_is_answered_with_the_allowed_ones() -> None:
    assert [line.split()[0] for line in fake("--scenario", "list").output.splitlines()] == [*SCENARIOS]
    for arguments in (("--scenario", "amended,lost_cdr"), ("--events", "call.lost")):
        result = fake(*arguments)
        assert (result.exit_code, "lost" in result.output) == (2, True)
    assert "recording_failed" in fake("--scenario", "lost").output
    assert fake("--queue", "billing").exit_code == 2
    assert "RabbitMQ" in fake("--to", "embedded:broker.db", "--queue", "billing").output
