"""The call records that Aliyun's facts make, whatever the order in which they come.

Sections are those of docs/protocols/aliyun-pnp.md.
"""

from __future__ import annotations

import itertools
import json
import random
from datetime import UTC, datetime
from typing import Any

import pytest

from schemas.envelope import derived_id
from schemas.facts import Announcement, Fact, Parsed
from schemas.platforms.aliyun import DIALECT
from schemas.platforms.aliyun.recordings import recording_request
from schemas.platforms.aliyun.settings import AliyunSource
from schemas.recording import RecordingWanted
from tests.building.pushes import a_push, fact_of
from tests.building.records import record_of
from tests.building.samples import SAMPLES_OF_ALL

SAMPLES = SAMPLES_OF_ALL / "aliyun_pnp"
SOURCE = AliyunSource.model_validate(
    {"name": "aliyun", "platform": "aliyun_pnp", "tokens": ["token"], "app_key": "id", "app_secret": "secret"}
)
NAMES = ("secret_start_report.json", "secret_ring_report.json", "secret_report.json")
A, B, X = "+8613800000001", "+8613900000003", "+8617000000002"

# Section 4.4: the page's own words; epoch milliseconds of 2024-03-05 14:07:08 in Beijing.
RECORDING = {
    "pool_key": "FC100000000000001",
    "sub_id": 1000043068030001,
    "call_id": "4361aa01bb02cc03",
    "call_time": 1709618828000,
    "out_id": "order-88001",
}
# Section 4.3, PickUp: the fields of a ring receipt and start_time.
PICK_UP = {**json.loads((SAMPLES / "secret_ring_report.json").read_bytes())[0], "start_time": "2024-03-05 14:07:20"}


def at(clock: str) -> datetime:
    return datetime.fromisoformat(f"2024-03-05T{clock}+00:00")


def facts_of(body: Any) -> list[Fact]:
    return [
        fact_of(item, SOURCE, at=datetime(2024, 3, 5, tzinfo=UTC), fact_id=derived_id(item.key, item.fingerprint))
        for item in DIALECT.parse(a_push(body), SOURCE)
        if isinstance(item, Parsed)
    ]


def the_record(facts: list[Fact]) -> dict[str, Any]:
    return record_of(facts)


def some(record: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(record[name] for name in names)


PUBLISHED = [fact for name in NAMES for fact in facts_of((SAMPLES / name).read_bytes())]
ONE_CALL = [
    *(fact for fact in PUBLISHED if fact.session_id == "4361aa01bb02cc03"),
    *facts_of([PICK_UP]),
    *facts_of(RECORDING),
]


def the_call(session: str) -> dict[str, Any]:
    return the_record([fact for fact in PUBLISHED if fact.session_id == session])


def test_an_answered_call_is_told_by_its_report() -> None:
    """Section 4.1: rings 14:07:13, answered :20, released 14:08:25 (Beijing): 7 and 65 seconds."""
    record = the_call("4361aa01bb02cc03")
    assert some(record, "id", "platform", "product", "mode", "direction") == (
        "aliyun:4361aa01bb02cc03", "aliyun_pnp", "pnp", None, "a_to_b",
    )  # fmt: skip
    assert some(record, "caller", "callee", "private_number", "display_number") == (A, B, X, X)
    assert some(record, "called_in_at", "started_at", "ringing_at", "answered_at", "ended_at") == (
        at("06:07:08"), at("06:07:09"), at("06:07:13"), at("06:07:20"), at("06:08:25"),
    )  # fmt: skip
    assert some(record, "ring_seconds", "talk_seconds", "answered", "outcome") == (7, 65, True, "answered")
    assert some(record, "binding_id", "user_data", "complete", "missing") == (
        "1000043068030001", "order-88001", True, [],
    )  # fmt: skip
    assert record["reason"] == {
        "state_code": None, "fail_code": 0, "q850": 16, "sip": None, "text": "normal hang-up",
    }  # fmt: skip
    assert [entry["type"] for entry in record["timeline"]] == ["incoming", "ringing"]


def test_a_call_to_a_that_nobody_answered_rang_thirty_seconds() -> None:
    """Section 4.1: call_type 1, release_cause 19, start_time = release_time."""
    record = the_call("4361aa01bb02cc04")
    assert some(record, "direction", "caller", "callee") == ("b_to_a", B, A)
    assert some(record, "ring_seconds", "talk_seconds", "answered", "outcome") == (30, 0, False, "no_answer")
    assert some(record, "complete", "recordings") == (True, [])


def test_a_call_without_a_binding_is_blocked() -> None:
    """docs/contract.md section 1: unconnected_cause 1-3 blocked; release_cause 31 says nothing against it."""
    record = the_call("4361aa01bb02cc05")
    assert some(record, "direction", "caller", "callee", "binding_id") == ("abnormal", "+8613700000009", None, None)
    assert some(record, "ring_seconds", "talk_seconds", "outcome") == (None, 0, "blocked")
    assert record["reason"]["text"] == "no binding"


def test_the_report_alone_makes_a_call_whole() -> None:
    """docs/design.md section 5, Whole: Aliyun = SecretReport."""
    (report, *_) = facts_of((SAMPLES / "secret_report.json").read_bytes())
    assert some(the_record([report]), "complete", "missing") == (True, [])


def test_events_alone_tell_a_call_that_was_answered() -> None:
    record = the_record([fact for fact in ONE_CALL if fact.kind != "cdr"])
    assert some(record, "caller", "callee", "answered", "outcome", "ended_at") == (A, B, True, "answered", None)
    assert some(record, "called_in_at", "ringing_at", "answered_at", "ring_seconds") == (
        at("06:07:08"), at("06:07:13"), at("06:07:20"), 7,
    )  # fmt: skip
    assert "cdr" in record["missing"]


def test_the_facts_of_one_call_make_one_record_in_any_order() -> None:
    expected = the_record(ONE_CALL)
    assert [entry["type"] for entry in expected["timeline"]] == ["incoming", "ringing", "answered"]
    for order in itertools.permutations(ONE_CALL):
        shuffled = [*order, random.choice(order)]  # noqa: S311 - a repetition, nothing secret
        assert the_record(shuffled) == expected


def test_a_report_with_a_link_and_a_recording_receipt_announce_one_recording() -> None:
    """Section 6: asked for by pool key, call id and the call's time; the link of the report is a spare."""
    (row,) = the_record(ONE_CALL)["recordings"]
    alone = the_record(facts_of(RECORDING))["recordings"]
    assert [row] == alone
    assert row["state"] == "wanted"


def test_the_recording_receipt_tells_all_that_the_download_call_needs() -> None:
    """Sections 4.4 and 6: call_time is milliseconds here, and the call wants it as Beijing text."""
    (fact,) = facts_of(RECORDING)
    assert isinstance(fact.body, Announcement)
    told = fact.body.recording
    wanted = RecordingWanted(
        call_id=fact.call_id,
        session_id=fact.session_id,
        key="k",
        name=told.name,
        domain=told.domain,
        called_at=told.called_at,
    )
    url = recording_request(wanted, SOURCE, nonce="n", created=at("06:30:00")).url
    for part in ("CallId=4361aa01bb02cc03", "PoolKey=FC100000000000001", "CallTime=2024-03-05%2014%3A07%3A08"):
        assert part in url


@pytest.mark.parametrize(
    ("changed", "outcome"),
    [
        ({"release_cause": 16}, "cancelled"),
        ({"release_cause": 17}, "busy"),
        ({"release_cause": 8}, "busy"),
        ({"release_cause": 9}, "busy"),
        ({"release_cause": 18}, "no_answer"),
        ({"release_cause": 19}, "no_answer"),
        ({"release_cause": 1}, "unreachable"),
        ({"release_cause": 20}, "unreachable"),
        ({"release_cause": 22}, "unreachable"),
        ({"release_cause": 24}, "unreachable"),
        ({"release_cause": 27}, "unreachable"),
        ({"release_cause": 32}, "unreachable"),
        ({"release_cause": 7}, "rejected"),
        ({"release_cause": 21}, "rejected"),
        ({"release_cause": 33}, "rejected"),
        ({"release_cause": "19"}, "no_answer"),
        ({"release_cause": 31}, "unknown"),
        ({"release_cause": 0}, "unknown"),
        ({"release_cause": 12345}, "unknown"),
        ({"release_cause": 19, "unconnected_cause": 1}, "blocked"),
        ({"release_cause": 19, "unconnected_cause": "3"}, "blocked"),
        ({"release_cause": 19, "unconnected_cause": 4}, "no_answer"),
        ({"release_cause": 19, "unconnected_cause": 77}, "no_answer"),
        ({"release_cause": None, "unconnected_cause": None}, "unknown"),
    ],
)
def test_the_outcome_is_blocked_by_cause_and_else_by_release(changed: dict[str, Any], outcome: str) -> None:
    """docs/contract.md section 1, last line; section 4.1, release_cause, where its words go beyond Q.850."""
    row = json.loads((SAMPLES / "secret_report.json").read_bytes())[1]
    record = the_record(facts_of([{**row, **changed}]))
    assert record["outcome"] == outcome


@pytest.mark.parametrize("cause", [2, 12345, "X"])
def test_codes_stand_in_the_record_as_they_were_sent(cause: Any) -> None:
    """Section 4.1: unknown codes must pass through."""
    row = json.loads((SAMPLES / "secret_report.json").read_bytes())[1]
    assert the_record(facts_of([{**row, "release_cause": cause}]))["reason"]["q850"] == cause
