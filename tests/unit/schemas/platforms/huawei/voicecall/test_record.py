"""The call record that VoiceCall's notifications make, in whatever order they come (docs/contract.md section 1).

Sections are those of docs/protocols/huawei-voicecall.md.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.facts import Fact, Parsed
from schemas.platforms.huawei.voicecall import DIALECT
from schemas.platforms.huawei.voicecall.settings import VoiceCallSource
from tests.building.pushes import a_push, fact_of
from tests.building.records import record_of
from tests.building.samples import SAMPLES_OF_ALL

SOURCE = VoiceCallSource.model_validate({"name": "huawei-vc", "platform": "huawei_voicecall", "tokens": ["token"]})
SAMPLES = SAMPLES_OF_ALL / "huawei_voicecall"
T0 = datetime(2019, 1, 24, 3, 6, tzinfo=UTC)
A, B, SHOWN = "+8613800000021", "+8613800000022", "+8675528000001"

# The samples lack the ringing and the answer of leg B; made from its CDR's times.
LEG_B = [("alerting", "2019-01-24 03:04:41"), ("answer", "2019-01-24 03:04:45")]
CALLBACK = (
    "callback-status-callout-lega.json",
    "callback-status-alerting-lega.json",
    "callback-status-answer-lega.json",
    "callback-status-callout-legb.json",
    "callback-status-disconnect.json",
    "callback-fee.json",
)
NOTIFY = (
    "notify-status-callout.json",
    "notify-status-alerting.json",
    "notify-status-answer.json",
    "notify-status-disconnect.json",
    "notify-fee.json",
)
VERIFY = tuple(name.replace("notify", "verify") for name in NOTIFY[:-1])


def sample(name: str) -> Any:
    return json.loads((SAMPLES / name).read_bytes())


def at_b(event_type: str, timestamp: str) -> Any:
    body = sample("callback-status-callout-legb.json")
    return {"eventType": event_type, "statusInfo": {**body["statusInfo"], "timestamp": timestamp}}


def facts_of(bodies: list[Any], path: str = "") -> list[Fact]:
    return [
        fact_of(item, SOURCE, at=T0 + timedelta(seconds=n), fact_id=str(n))
        for n, body in enumerate(bodies)
        for item in DIALECT.parse(a_push(body, path), SOURCE)
        if isinstance(item, Parsed)
    ]


def the_record(facts: list[Fact], *, call_events: bool = True) -> dict[str, Any]:
    return record_of(facts, call_events=call_events)


def a_whole_callback() -> list[Any]:
    return [*(sample(name) for name in CALLBACK), *(at_b(*row) for row in LEG_B)]


def a_callback_that_b_does_not_answer() -> list[Any]:
    """Section 2, the real record: 518, 480, failTime = callEndTime, no fwdAnswerTime, both causes 0."""
    *events, _, fee = (sample(name) for name in CALLBACK)
    end = {"callEndTime": "2019-01-24 03:05:11", "failTime": "2019-01-24 03:05:11", "recordFlag": 0}
    record = {**fee["feeLst"][0], **end, "ulFailReason": 518, "sipStatusCode": 480}
    del record["fwdAnswerTime"]
    # partyType comes only where it was asked for
    told = {**events[0]["statusInfo"], "timestamp": "2019-01-24 03:05:11", "stateCode": 8001}
    disconnect = {"eventType": "disconnect", "statusInfo": told}
    return [*events, at_b(*LEG_B[0]), disconnect, {"eventType": "fee", "feeLst": [record]}]


def seen(record: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(record[name] for name in names)


def test_the_record_of_a_callback_names_the_two_people_and_their_talk() -> None:
    record = the_record(facts_of(a_whole_callback()))
    assert seen(record, "product", "mode", "direction", "caller", "callee", "private_number", "display_number") == (
        "callback", None, None, A, B, None, SHOWN,
    )  # fmt: skip
    assert seen(record, "ring_seconds", "talk_seconds", "answered", "outcome") == (4, 60, True, "answered")
    assert seen(record, "started_at", "ringing_at", "answered_at", "ended_at") == (
        datetime(2019, 1, 24, 3, 4, 24, tzinfo=UTC),
        datetime(2019, 1, 24, 3, 4, 41, tzinfo=UTC),
        datetime(2019, 1, 24, 3, 4, 45, tzinfo=UTC),
        datetime(2019, 1, 24, 3, 5, 45, tzinfo=UTC),
    )
    assert [(leg["name"], leg["number"]) for leg in record["legs"]] == [("a", A), ("b", B)]
    assert [entry["type"] for entry in record["timeline"]] == [
        "outgoing", "ringing", "answered", "outgoing", "ringing", "answered", "ended",
    ]  # fmt: skip
    assert [row["state"] for row in record["recordings"]] == ["wanted"]
    assert record["user_data"] == "customerId123"


def test_a_callback_is_whole_with_the_events_of_both_legs() -> None:
    record = the_record(facts_of(a_whole_callback()))
    assert [entry["leg"] for entry in record["timeline"]] == ["a", "a", "a", "b", "b", "b", None]
    assert seen(record, "complete", "missing") == (True, [])


def test_a_callback_misses_what_its_second_leg_has_not_told() -> None:
    """The published samples lack the ringing and the answer of leg B."""
    record = the_record(facts_of([sample(name) for name in CALLBACK]))
    assert not record["complete"]
    assert {"ringing", "answered"} <= set(record["missing"])


def test_a_callback_without_its_end_is_not_whole() -> None:
    bodies = [body for body in a_whole_callback() if body["eventType"] != "disconnect"]
    assert "ended" in the_record(facts_of(bodies))["missing"]


def test_that_a_answers_is_not_that_the_call_is_answered() -> None:
    record = the_record(facts_of(a_callback_that_b_does_not_answer()))
    assert seen(record, "answered", "outcome", "talk_seconds", "answered_at") == (False, "no_answer", 0, None)
    assert seen(record, "caller", "callee", "ring_seconds") == (A, B, 30)
    assert record["reason"] == {
        "state_code": 8001, "fail_code": 518, "q850": 0, "sip": 480, "text": "Temporarily Unavailable",
    }  # fmt: skip
    assert seen(record, "complete", "missing") == (True, [])


def test_without_a_cdr_a_disconnect_that_names_a_keeps_their_answer_apart() -> None:
    """Section 1: for disconnect, called = A number; the page's partyType says that it is a callback."""
    record = the_record(facts_of([sample(name) for name in CALLBACK[:-1]]))
    assert seen(record, "product", "caller", "callee", "missing") == ("callback", A, None, ["cdr"])
    assert seen(record, "answered", "talk_seconds", "outcome") == (False, None, "unknown")


def test_a_source_without_call_events_has_a_whole_callback_in_its_cdr() -> None:
    record = the_record(facts_of([sample("callback-fee.json")]), call_events=False)
    assert seen(record, "complete", "outcome", "talk_seconds") == (True, "answered", 60)


@pytest.mark.parametrize(("path", "product"), [("", "notify"), ("/verify", "verify")])
def test_a_notification_has_one_party_and_is_whole_with_cdr_and_end(path: str, product: str) -> None:
    bodies = [sample(name) for name in NOTIFY]
    record = the_record(facts_of(bodies, path))
    assert seen(record, "product", "caller", "callee", "display_number") == (product, None, A, SHOWN)
    assert seen(record, "ring_seconds", "talk_seconds", "outcome") == (10, 20, "answered")
    assert seen(record, "complete", "missing", "legs", "recordings") == (True, [], [], [])
    only_the_end = the_record(facts_of(bodies[-2:], path))
    assert seen(only_the_end, "complete", "missing") == (True, [])
    assert seen(the_record(facts_of([bodies[-1]], path)), "complete", "missing") == (False, ["ended"])


def test_call_status_alone_makes_a_full_record_where_the_url_names_the_product() -> None:
    record = the_record(facts_of([sample(name) for name in VERIFY], "/verify"))
    assert seen(record, "product", "caller", "callee", "display_number") == ("verify", None, A, SHOWN)
    assert seen(record, "ring_seconds", "talk_seconds", "outcome", "missing") == (10, 20, "answered", ["cdr"])


def test_call_status_alone_guesses_no_party_and_no_talk_time() -> None:
    record = the_record(facts_of([sample(name) for name in VERIFY]))
    assert seen(record, "product", "caller", "callee", "talk_seconds") == (None, None, None, None)
    assert [entry["callee"] for entry in record["timeline"]] == [A] * 4


CALLS = [a_whole_callback(), a_callback_that_b_does_not_answer(), [sample(name) for name in NOTIFY]]


@pytest.mark.parametrize("bodies", CALLS, ids=["callback", "unanswered", "notify"])
@given(data=st.data())
def test_any_order_and_any_repetition_make_one_record(bodies: list[Any], data: st.DataObject) -> None:
    facts = facts_of(bodies)
    again = data.draw(st.lists(st.sampled_from(facts), max_size=6))
    assert the_record(data.draw(st.permutations([*facts, *again]))) == the_record(facts)
