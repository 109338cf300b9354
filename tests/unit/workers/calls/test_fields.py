"""The fields of schema 1.1: what each event says of itself, and what of a call, a CDR, a recording and a number."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import orjson
import pytest

from schemas.envelope import derived_id
from schemas.facts import Announced, CallEvent, FactKind, NumberState, Other, Recording
from schemas.platforms import number_of
from schemas.vocabulary import Billing
from tests.building.facts import T0, a_cdr, a_fact, a_stored_recording, all_events, an_event, kept, seconds
from tests.building.story import Story
from workers.calls.events import event_at_once, number_event, number_token
from workers.calls.measures import billed_minutes
from workers.calls.merge import build_record
from workers.calls.session import fold, version_key, winners
from workers.calls.step import Patience

KEY = b"k" * 32
RULES: Final[tuple[tuple[Billing, float], ...]] = (("minute", 2), ("second", 1.016667))


def body_of(fact: Any) -> dict[str, Any]:
    body: dict[str, Any] = orjson.loads(event_at_once(kept(fact), trace="").body)  # type: ignore[arg-type]
    return body


@pytest.mark.parametrize(
    ("talked", "billing", "minutes"),
    [(0, "minute", 0), (1, "minute", 1), (60, "minute", 1), (60.2, "minute", 2), (7, "6s", 0.2), (90, "second", 1.5)],
)
def test_each_unit_that_began_is_billed(talked: float, billing: Billing, minutes: float) -> None:
    assert billed_minutes(talked, billing) == minutes
    assert billed_minutes(None, billing) is None


def test_a_cdr_is_billed_by_the_rule_of_its_source_and_one_that_nobody_answered_is_not() -> None:
    told = [*all_events(), a_cdr(talk_seconds=61), a_cdr("r2", answered_at=None, talk_seconds=0)]
    for billing, minutes in RULES:
        record = Story(Patience(billing=billing)).told(told, at=70).record
        talked = {row["record_id"]: (row["talk_seconds"], row["billed_minutes"]) for row in record["cdrs"]}
        assert talked == {"r1": (61, minutes), "r2": (0, None)}


def test_a_call_without_any_time_has_the_moment_at_which_we_heard_of_it() -> None:
    nothing: dict[str, Any] = dict.fromkeys(("called_in_at", "started_at", "ringing_at", "answered_at", "ended_at"))
    record = build_record(winners(fold({}, [kept(a_cdr(told=70, **nothing))])), call_events=True)
    assert record["at"] == record["received_at"] == kept(a_cdr(told=70)).identity["at"]


def test_an_amended_call_keeps_the_moment_at_which_it_was_first_heard_of() -> None:
    story = Story().told([a_cdr(told=70)], at=70).waits(until=75).told([a_cdr(told=80, user_data="x")], at=80)
    story.waits(until=90)
    assert [said["data"]["call"]["received_at"] for said in story.said] == [kept(a_cdr(told=70)).identity["at"]] * 2


def test_a_recording_has_the_platforms_name_and_no_part_of_its_link_that_opens_it() -> None:
    linked = Announced(url="https://audio.example.com/a/b%201.mp3?AccessKeyId=1&Signature=2")
    told = Story().told([*all_events(), a_cdr(recordings=(linked, Announced(name="n.wav", domain="d")))], at=70)
    assert {row["name"] for row in told.record["recordings"]} == {"b 1.mp3", "n.wav"}
    key = told.record["recordings"][0]["key"]
    fetched = a_stored_recording(key, told=75)
    assert isinstance(fetched.body, Recording)
    told.told([replace(fetched, body=replace(fetched.body, format="wav"))], at=75).waits(until=80)
    row = next(row for row in told.record["recordings"] if row["key"] == key)
    assert (row["name"] in {"b 1.mp3", "n.wav"}, row["media_type"]) == (True, "audio/wav")


def test_what_is_made_of_its_fact_alone_has_the_minor_of_its_schema_in_its_id() -> None:
    """Version 1.0 made other bytes of it, under another id."""
    fact = an_event("ringing")
    event, version = body_of(fact), version_key(kept(fact))
    assert event["dataschema"] == "https://callstitch.dev/schemas/call.progress/1.1.json"
    assert event["id"] == derived_id(event["subject"], "call.progress", f"{version}|1.1")
    assert event["id"] != derived_id(event["subject"], "call.progress", version)


@pytest.mark.parametrize("kind", ["event", "other"])
def test_an_event_with_the_doors_clock_is_another_one_for_another_push_of_it(kind: str) -> None:
    told = (
        an_event("ringing") if kind == "event" else a_fact(FactKind.OTHER, "other|x", Other(raw={}), told=1, session="")
    )
    one = replace(told, body=replace(told.body, at=None)) if isinstance(told.body, CallEvent) else told
    again = replace(one, id="another", at=T0 + seconds(999))
    first, second = body_of(one), body_of(again)
    assert first == body_of(one)
    assert first["time"] != second["time"]
    assert first["id"] != second["id"]


@pytest.mark.parametrize(
    ("platform", "raw"),
    [
        ("aliyun_pnp", {"secret_no": "13800000021"}),
        ("huawei_privatenumber", {"eventType": "numstatus", "numInfo": [{"number": "+8613800000021"}]}),
    ],
)
def test_a_number_has_a_subject_of_its_own_that_does_not_tell_it(platform: str, raw: dict[str, Any]) -> None:
    number = number_of(platform, raw)
    fact = kept(a_fact(FactKind.NUMBER_STATE, "number_latest|x", NumberState(raw=raw), told=1, session=""))
    made = number_event(fact, number, key=KEY, now=T0, trace="")
    assert isinstance(made.body, bytes)
    event = orjson.loads(made.body)
    assert event["data"]["number"] == "+8613800000021"
    assert event["subject"] == event["callid"] == f"huawei-bj:number:{number_token('0086 138-0000-0021', KEY)}"
    assert "138" not in event["subject"].partition("number:")[0]
    assert number_token("13800000021", b"another") != number_token("13800000021", KEY)


def test_the_id_of_a_number_state_is_that_of_before_it_had_such_a_subject() -> None:
    """It is in the outbox under it."""
    fact = kept(a_fact(FactKind.NUMBER_STATE, "number_latest|x", NumberState(raw={}), told=1, session=""))
    made = number_event(fact, None, key=KEY, now=T0, trace="")
    assert made.id == derived_id(fact.call_id, "number.changed", f"{version_key(fact)}|{fact.identity['id']}")


def test_nobody_knows_whether_anybody_talked_unless_a_code_or_a_duration_says_so() -> None:
    silent = a_cdr(answered_at=None)
    record = build_record(winners(fold({}, [kept(silent)])), call_events=True)
    assert (record["outcome"], record["talk_seconds"]) == ("unknown", None)
