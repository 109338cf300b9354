"""What a session says, and when: one row of the story a test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from itertools import permutations
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.envelope import JsonObject
from schemas.fact_json import CallJson
from schemas.facts import Announced, CallFields, Code, Fact
from schemas.record import CALL_PART, CallRecord, CdrRow, RecordingRow, TimelineRow
from schemas.vocabulary import Outcome
from tests.building.facts import CALL, T0, a_cdr, a_stored_recording, all_events, an_event, kept, seconds
from tests.building.records import record_of
from tests.building.story import PATIENCE, Story
from workers.calls.kept import KeptFact
from workers.calls.merge import build_record
from workers.calls.session import fold, winners
from workers.calls.step import Patience, step

AUDIO = Announced(name="a.wav", domain="ostor.example.com")


def test_a_whole_call_is_completed_at_once() -> None:
    story = Story().told([*all_events(), a_cdr()], at=70)
    assert story.types == ["call.completed"]
    assert (story.record["complete"], story.record["missing"], story.record["revision"]) == (True, [], 1)
    assert story.due_at is None


def test_a_cdr_alone_waits_for_its_events_no_longer_than_settle() -> None:
    story = Story().told([a_cdr(told=70)], at=70)
    assert story.types == []
    assert story.due_at == T0 + seconds(72)
    assert story.waits(until=72).types == ["call.completed"]
    assert story.record["missing"] == ["incoming", "outgoing", "ringing", "answered", "ended"]


def test_a_source_without_call_events_is_whole_with_its_cdr() -> None:
    story = Story(Patience(call_events=False)).told([a_cdr()], at=70)
    assert (story.types, story.record["complete"]) == (["call.completed"], True)


def test_an_end_without_a_cdr_is_incomplete_after_fifteen_minutes_and_only_once() -> None:
    story = Story().told([an_event("incoming"), an_event("ended", told=60)], at=60)
    assert story.waits(until=60 + 899).types == []
    assert story.waits(until=60 + 900).types == ["call.incomplete"]
    assert story.waits(until=9000).types == ["call.incomplete"]
    assert "cdr" in story.record["missing"]


def test_a_call_that_never_ends_is_incomplete_a_day_after_its_last_fact() -> None:
    story = Story().told([an_event("incoming", told=5)], at=5)
    assert story.due_at == T0 + seconds(5 + 24 * 3600)


def test_a_cdr_after_call_incomplete_still_completes_the_call_and_is_late() -> None:
    story = Story(Patience(cdr_wait=seconds(3))).told(all_events(told=60), at=60).waits(until=70)
    story.told([a_cdr(told=500)], at=500)
    assert story.types == ["call.incomplete", "call.completed"]
    assert (story.record["late"], story.record["revision"]) == (True, 2)


def test_an_amended_cdr_names_the_changed_field_after_settle() -> None:
    story = Story().told([*all_events(), a_cdr(told=70)], at=70)
    story.told([a_cdr(told=80, ended_at=T0 + seconds(66))], at=80)
    assert story.types == ["call.completed"]
    story.waits(until=82)
    assert story.types == ["call.completed", "call.amended"]
    event = story.said[-1]
    assert {"/ended_at", "/talk_seconds", "/cdrs/0/ended_at"} <= set(event["data"]["changed"])
    assert (event["data"]["reason"], event["revision"], story.record["talk_seconds"]) == ("cdr_amended", 2, 63)


def test_the_old_cdr_pushed_again_after_the_amended_one_changes_nothing() -> None:
    story = Story().told([*all_events(), a_cdr(told=70)], at=70)
    story.told([a_cdr(told=80, ended_at=T0 + seconds(66))], at=80).waits(until=90)
    story.told([a_cdr(told=70)], at=100).waits(until=200)
    assert story.types == ["call.completed", "call.amended"]


def test_an_old_cdr_pushed_again_loses_in_whatever_order_the_three_are_processed() -> None:
    """Two workers, one of them frozen: the old version's second telling may be met before its first one."""
    old, new = a_cdr(told=70), a_cdr(told=80, user_data="amended")
    for order in permutations([old, new, replace(old, at=T0 + seconds(90))]):
        story = Story()
        for n, fact in enumerate([*all_events(), *order]):
            story.told([fact], at=100 + n).waits(until=100 + n)
        story.waits(until=200)
        assert story.record["user_data"] == "amended"


def test_the_old_cdr_pushed_again_before_settle_does_not_take_the_amendment_back() -> None:
    first = a_cdr(told=70)
    story = Story().told([*all_events(), first], at=70)
    story.told([a_cdr(told=80, user_data="x")], at=80)
    story.told([replace(first, at=T0 + seconds(81))], at=81).waits(until=200)
    assert (story.types, story.record["user_data"]) == (["call.completed", "call.amended"], "x")


def test_a_second_cdr_of_the_session_stands_beside_the_first() -> None:
    story = Story().told([*all_events(), a_cdr("r1", told=70)], at=70)
    story.told([a_cdr("r2", told=71, answered_at=None, ringing_at=None, implies=())], at=71).waits(until=80)
    assert story.types == ["call.completed", "call.amended"]
    assert [cdr["record_id"] for cdr in story.record["cdrs"]] == ["r1", "r2"]
    assert (story.said[-1]["data"]["reason"], story.record["talk_seconds"]) == ("cdr_added", 60)


def test_a_late_event_is_gathered_into_one_amendment() -> None:
    story = Story().told([a_cdr(told=70)], at=70).waits(until=72)
    for n, event in enumerate(all_events()):
        story.told([replace(event, at=T0 + seconds(80 + n * 0.1))], at=80 + n * 0.1)
    story.waits(until=100)
    assert story.types == ["call.completed", "call.amended"]
    assert (story.record["complete"], story.said[-1]["data"]["reason"]) == (True, "event")
    assert "/missing/0" in story.said[-1]["data"]["changed"]


def test_a_recording_is_ordered_once_and_told_with_the_whole_record() -> None:
    story = Story().told([*all_events(), a_cdr(recordings=(AUDIO,))], at=70)
    (order,) = story.ordered
    assert isinstance(order.body, dict)
    assert (order.body["name"], story.record["recordings"][0]["state"]) == ("a.wav", "wanted")
    story.told([a_stored_recording(order.body["key"])], at=75)
    assert story.types == ["call.completed", "recording.stored"]
    assert (story.record["recordings"][0]["state"], story.record["revision"]) == ("stored", 2)
    assert story.said[-1]["data"]["recording"]["key"] == order.body["key"]
    story.told([a_cdr(told=90, recordings=(AUDIO,), user_data="x")], at=90).waits(until=200)
    assert len(story.ordered) == 1
    assert story.record["recordings"][0]["state"] == "stored"


def test_an_amendment_that_waits_is_not_swallowed_by_a_recording() -> None:
    """A team that binds only call.amended must hear of the change even if a recording ends meanwhile."""
    story = Story().told([*all_events(), a_cdr(recordings=(AUDIO,))], at=70)
    key = story.record["recordings"][0]["key"]
    story.told([a_cdr(told=80, recordings=(AUDIO,), user_data="x")], at=80)
    story.told([a_stored_recording(key, told=81)], at=81).waits(until=90)
    assert story.types == ["call.completed", "call.amended", "recording.stored"]


def test_a_recording_that_ends_before_the_call_completed_waits_for_it() -> None:
    key = Story().told([*all_events(), a_cdr(recordings=(AUDIO,))], at=70).record["recordings"][0]["key"]
    story = Story().told([a_stored_recording(key, told=71), a_cdr(told=71, recordings=(AUDIO,))], at=71)
    assert story.waits(until=80).types == ["call.completed", "recording.stored"]


def test_stored_beats_failed_whatever_came_later() -> None:
    story = Story().told([*all_events(), a_cdr(recordings=(AUDIO,))], at=70)
    key = story.record["recordings"][0]["key"]
    story.told([a_stored_recording(key, told=75)], at=75)
    story.told([a_stored_recording(key, state="failed", told=99)], at=99).waits(until=200)
    assert story.types == ["call.completed", "recording.stored"]


def test_a_record_flag_without_a_name_is_failed_and_orders_nothing() -> None:
    story = Story().told([*all_events(), a_cdr(recordings=(Announced(),))], at=70).waits(until=80)
    assert story.types == ["call.completed", "recording.failed"]
    assert (story.ordered, story.record["recordings"][0]["reason"]) == ([], "no_file_named")


def test_a_record_has_its_fields_in_the_order_of_the_published_schema() -> None:
    record = final_record(FACTS)
    rows = (*record["cdrs"][:1], *record["timeline"][:1], *record["recordings"][:1])
    assert [list(record), *map(list, rows)] == [
        list(row.__annotations__) for row in (CallRecord, CdrRow, TimelineRow, RecordingRow)
    ]


def test_what_is_said_of_a_call_as_a_whole_is_what_dialects_read_of_it() -> None:
    of_a_fact = {one.name for one in fields(CallFields)}
    assert set(CALL_PART) | {"talk_seconds", "codes"} == of_a_fact == set(CallJson.__annotations__)


def test_the_same_step_makes_the_same_bytes() -> None:
    news = [kept(fact) for fact in (*all_events(), a_cdr())]
    first = step(None, news, now=T0, patience=PATIENCE)
    assert first.envelopes == step(None, news, now=T0, patience=PATIENCE).envelopes


@pytest.mark.parametrize(
    ("codes", "outcome"),
    [
        ([("state_code", "busy"), ("q850", "cancelled")], "busy"),
        ([("state_code", None), ("q850", "busy")], "busy"),
        ([("sip", "rejected"), ("fail_code", "no_answer")], "no_answer"),
        ([("sip", None)], "unknown"),
        ([], "unknown"),
    ],
)
def test_the_first_mapped_code_decides_an_unanswered_call(
    codes: list[tuple[str, Outcome | None]], outcome: str
) -> None:
    mapped = tuple(Code(name=name, value=n, outcome=meaning) for n, (name, meaning) in enumerate(codes))
    cdr = a_cdr(answered_at=None, codes=mapped)
    record = record_of([cdr])
    talked = None if outcome == "unknown" else 0  # nobody knows whether anybody talked
    assert (record["outcome"], record["answered"], record["talk_seconds"]) == (outcome, False, talked)


def test_durations_are_never_negative() -> None:
    cdr = a_cdr(ended_at=CALL.answered_at, answered_at=CALL.ended_at)
    assert record_of([cdr])["talk_seconds"] == 0


def test_the_primary_cdr_is_the_earliest_answered_else_the_latest_ended_else_the_smallest_id() -> None:
    def top(*cdrs: Fact) -> Any:
        return record_of(cdrs)["cdrs"][0]["record_id"]

    late, early = a_cdr("a", answered_at=T0 + seconds(9)), a_cdr("b", answered_at=T0 + seconds(5))
    unanswered = a_cdr("c", answered_at=None, ended_at=T0 + seconds(99))
    ended_before = a_cdr("d", answered_at=None, ended_at=T0 + seconds(98))
    timeless: dict[str, Any] = {"answered_at": None, "ended_at": None}
    assert top(late, early, unanswered) == "b"
    assert top(ended_before, unanswered) == "c"
    assert top(a_cdr("f", **timeless), a_cdr("e", **timeless)) == "e"


def final_record(order: Sequence[Fact]) -> CallRecord:
    facts: dict[str, KeptFact] = {}
    for fact in order:
        facts = fold(facts, [kept(fact)])
    return build_record(winners(facts), call_events=True)


FACTS = [
    *all_events(),
    a_cdr(told=70, recordings=(AUDIO,)),
    a_cdr(told=80, recordings=(AUDIO,), ended_at=T0 + seconds(66)),
    a_cdr("r2", told=71, answered_at=None),
    a_stored_recording("k1", state="failed"),
    a_stored_recording("k1", told=76),
]


@given(st.lists(st.sampled_from(FACTS), max_size=30), st.randoms(use_true_random=False))
@settings(max_examples=300, deadline=None)
def test_any_order_with_any_repetition_gives_the_same_record(more: list[Fact], random: Any) -> None:
    shuffled = [*FACTS, *more]
    random.shuffle(shuffled)
    assert final_record(shuffled) == final_record(FACTS)


def test_fold_does_not_care_about_grouping() -> None:
    for order in permutations(map(kept, FACTS[4:8])):
        assert fold(fold({}, order[:2]), order[2:]) == fold({}, order)


@given(st.lists(st.tuples(st.sampled_from(FACTS), st.integers(0, 400)), min_size=1, max_size=25))
@settings(max_examples=150, deadline=None)
def test_revisions_rise_completed_comes_once_and_nothing_goes_back(told: list[tuple[Fact, int]]) -> None:
    story = Story(Patience(cdr_wait=seconds(20), open_max=seconds(200)))
    for fact, moment in sorted(told, key=lambda row: row[1]):
        story.waits(until=moment).told([fact], at=moment)
    story.waits(until=1000)
    revisions = [event["revision"] for event in story.said]
    assert revisions == list(range(1, len(revisions) + 1))
    assert story.types.count("call.completed") == any(fact.kind == "cdr" for fact, _ in told)
    assert story.types.count("call.incomplete") <= 1
    assert story.due_at is None
    expected = orjson.loads(orjson.dumps(_expected([fact for fact, _ in told]), option=orjson.OPT_UTC_Z))
    # how a recording ended is told once the call is completed: nothing is ordered before a CDR announces it
    # an earlier telling of what is known changes nothing but when we first heard of the call
    unsaid = {"revision", "late", "received_at", "at"} | (set() if "call.completed" in story.types else {"recordings"})
    assert {k: v for k, v in story.record.items() if k not in unsaid} == {
        k: v for k, v in expected.items() if k not in unsaid
    }


def _expected(facts: list[Fact]) -> JsonObject:
    return record_of(facts)
