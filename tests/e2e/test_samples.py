"""The platform's published payloads, pushed with curl to a running `callstitch up`."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Iterator
from typing import Any, Final

import pytest

from console.demo.check import latest_records
from tests.e2e.programs import request
from tests.e2e.running import PATIENCE_SECONDS, Up, callstitch, running_up, sample

EVENTS: Final = [f"axyb-event-{kind}.json" for kind in ("callin", "callout", "alerting", "answer", "disconnect")]
FEE: Final = "axyb-fee.json"
SESSION: Final = "1200_1827_4294967295_20190124023003@callenabler246.huaweicaas.com"


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with running_up(tmp_path_factory.mktemp("samples"), progress=False) as running:
        yield running


def curl(up: Up, body: bytes) -> None:
    command = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--data-binary", "@-", up.door + "/status"]
    answer = subprocess.run(command, input=body, capture_output=True, check=True, timeout=PATIENCE_SECONDS)
    assert answer.stdout == b"200"


def in_session(name: str, session: str, **record: Any) -> bytes:
    """A sample as of another session; `record` changes or adds CDR fields."""
    body = json.loads(sample(name).replace(SESSION.encode(), session.encode()))
    for row in body.get("feeLst", []):
        row.update(record)
    return json.dumps(body).encode()


def about(up: Up, session: str) -> list[dict[str, Any]]:
    """All events about that session, repeated deliveries folded, in the order of their revisions."""
    found = {event["id"]: event for event in up.events() if event["subject"] == f"huawei:{session}"}
    return sorted(found.values(), key=lambda event: event.get("revision", 0))


def history(up: Up, session: str) -> list[dict[str, Any]]:
    """As `about`, once it is sure that they are one history: a body for each id, revisions 1, 2, 3 and so on."""
    events = about(up, session)
    delivered = [event for event in up.events() if event["subject"] == f"huawei:{session}"]
    assert all(event in events for event in delivered), "one id with two bodies"
    assert [event["revision"] for event in events] == list(range(1, len(events) + 1))
    assert [event["data"]["call"]["revision"] for event in events] == [event["revision"] for event in events]
    return events


def cdrs_of(up: Up, session: str) -> list[str]:
    """The CDRs in the last record of that session."""
    record = latest_records(up.events()).get(session, {"cdrs": []})
    return [cdr["record_id"] for cdr in record["cdrs"]]


def types(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("callstitch.").removesuffix(".v1") for event in events]


def metric(up: Up, name: str) -> float:
    """The value of one line of /metrics."""
    lines = request(up.admin, "GET", "/metrics").body.decode().splitlines()
    return next((float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name)), 0.0)


def test_one_call_told_six_times_over_is_completed_once_and_amended_once(up: Up) -> None:
    """Issue 2, the third line of "It must show", in its own order."""
    for name in [*EVENTS, FEE]:
        curl(up, sample(name))
    (completed,) = up.wait_for(lambda: [e for e in about(up, SESSION) if "completed" in e["type"]])
    call = completed["data"]["call"]
    assert {
        "caller": "+8613800000021",
        "callee": "+8613866887021",
        "private_number": "+8617010000002",
        "mode": "AXYB",
        "ring_seconds": 2,
        "talk_seconds": 16,
        "outcome": "answered",
        "complete": True,
        "missing": [],
        "revision": 1,
    }.items() <= call.items()
    timeline = [(entry["type"], entry["at"]) for entry in call["timeline"]]
    assert timeline == [
        ("incoming", "2019-01-24T02:30:03Z"),
        ("outgoing", "2019-01-24T02:30:03Z"),
        ("ringing", "2019-01-24T02:30:04Z"),
        ("answered", "2019-01-24T02:30:06Z"),
        ("ended", "2019-01-24T02:30:22Z"),
    ]
    assert [row["state"] for row in call["recordings"]] == ["wanted"]

    again = [sample(name) for name in [*EVENTS, FEE] * 6]
    random.Random(7).shuffle(again)  # noqa: S311 - an order, not a secret
    for body in again:
        curl(up, body)
    up.wait_for(lambda: metric(up, 'callstitch_items_total{result="duplicate",source="huawei"}') == len(again))
    assert types(about(up, SESSION)) == ["call.completed"]

    curl(up, in_session(FEE, SESSION, userData="changed"))
    amended = up.wait_for(lambda: [e for e in about(up, SESSION) if "amended" in e["type"]])[0]
    assert amended["revision"] > completed["revision"]
    assert amended["data"]["reason"] == "cdr_amended"
    assert {"/user_data", "/cdrs/0/user_data", "/cdrs/0/raw/userData"} == set(amended["data"]["changed"])

    curl(up, sample(FEE))
    duplicates = len(again) + 1
    up.wait_for(lambda: metric(up, 'callstitch_items_total{result="duplicate",source="huawei"}') == duplicates)
    with pytest.raises(AssertionError, match="in vain"):
        up.wait_for(lambda: len(about(up, SESSION)) > 2, 3)
    assert latest_records(up.events())[SESSION]["user_data"] == "changed"


def test_two_cdrs_of_one_session_are_both_in_the_record(up: Up) -> None:
    """Whether they meet in one batch (one revision) or not (a second one): the last record has both."""
    session = "redial@example"
    for name in EVENTS:
        curl(up, in_session(name, session))
    curl(up, in_session(FEE, session, icid="first"))
    curl(up, in_session(FEE, session, icid="second", fwdAnswerTime=None, recordFlag=0))
    up.wait_for(lambda: cdrs_of(up, session) == ["first", "second"])
    assert types(history(up, session)) in (["call.completed"], ["call.completed", "call.amended"])
    record = latest_records(up.events())[session]
    assert (record["talk_seconds"], record["complete"], record["late"]) == (16, True, False)


def test_a_cdr_that_comes_after_the_call_was_completed_amends_its_record(up: Up) -> None:
    session = "redial-later@example"
    for name in EVENTS:
        curl(up, in_session(name, session))
    curl(up, in_session(FEE, session, icid="first"))
    up.wait_for(lambda: cdrs_of(up, session) == ["first"])
    curl(up, in_session(FEE, session, icid="second", fwdAnswerTime=None, recordFlag=0))
    up.wait_for(lambda: cdrs_of(up, session) == ["first", "second"])
    completed, amended = history(up, session)
    assert types([completed, amended]) == ["call.completed", "call.amended"]
    assert amended["data"]["reason"] == "cdr_added"


def test_fields_and_codes_that_nobody_has_seen_are_emitted_under_raw(up: Up) -> None:
    session = "unseen@example"
    unseen = {
        "brandNew": {"deep": [1, 2]},
        "ulFailReason": 9999,
        "serviceType": "042",
        "fwdAnswerTime": "",
        "recordFlag": 0,
    }
    curl(up, in_session(FEE, session, **unseen))
    up.wait_for(lambda: types(about(up, session)) == ["call.completed"])
    (cdr,) = about(up, session)[0]["data"]["call"]["cdrs"]
    assert unseen.items() <= cdr["raw"].items()
    assert (cdr["mode"], cdr["reason"]["fail_code"], cdr["outcome"]) == (None, 9999, "unknown")


def test_an_operator_can_trace_the_call_with_numbers_masked(up: Up) -> None:
    session = "traced@example"
    for name in [*EVENTS, FEE]:
        curl(up, in_session(name, session))
    up.wait_for(lambda: types(about(up, session)) == ["call.completed"])
    told = callstitch(up, "trace", session)
    steps = ["received: incoming", "received: cdr", "published: callstitch.call.completed.v1"]
    assert [step for step in steps if step in told] == steps
    assert "13800000021" not in told
    assert "+8613800000021" in callstitch(up, "trace", session, "--show-numbers")
