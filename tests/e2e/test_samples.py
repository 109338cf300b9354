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
from tests.e2e.running import Up, callstitch, running_up, sample

EVENTS: Final = [f"axyb-event-{kind}.json" for kind in ("callin", "callout", "alerting", "answer", "disconnect")]
FEE: Final = "axyb-fee.json"
SESSION: Final = "1200_1827_4294967295_20190124023003@callenabler246.huaweicaas.com"


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with running_up(tmp_path_factory.mktemp("samples"), progress=False) as running:
        yield running


def curl(up: Up, body: bytes) -> None:
    command = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--data-binary", "@-", up.door + "/status"]
    answer = subprocess.run(command, input=body, capture_output=True, check=True, timeout=10)
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
    (completed,) = up.wait_for(lambda: [e for e in about(up, SESSION) if "completed" in e["type"]], 3)
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
    amended = up.wait_for(lambda: [e for e in about(up, SESSION) if "amended" in e["type"]], 5)[0]
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
    session = "redial@example"
    for name in EVENTS:
        curl(up, in_session(name, session))
    curl(up, in_session(FEE, session, icid="first"))
    curl(up, in_session(FEE, session, icid="second", fwdAnswerTime=None, recordFlag=0))
    up.wait_for(lambda: types(about(up, session)) == ["call.completed", "call.amended"], 6)
    record = about(up, session)[-1]["data"]["call"]
    assert [cdr["record_id"] for cdr in record["cdrs"]] == ["first", "second"]
    assert record["talk_seconds"] == 16


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
    up.wait_for(lambda: types(about(up, session)) == ["call.completed"], 6)
    (cdr,) = about(up, session)[0]["data"]["call"]["cdrs"]
    assert unseen.items() <= cdr["raw"].items()
    assert (cdr["mode"], cdr["reason"]["fail_code"], cdr["outcome"]) == (None, 9999, "unknown")


def test_an_operator_can_trace_the_call_with_numbers_masked(up: Up) -> None:
    session = "traced@example"
    for name in [*EVENTS, FEE]:
        curl(up, in_session(name, session))
    up.wait_for(lambda: types(about(up, session)) == ["call.completed"], 6)
    told = callstitch(up, "trace", session)
    assert [what for what in ("told: incoming", "told: cdr", "said: callstitch.call.completed.v1") if what in told] == [
        "told: incoming",
        "told: cdr",
        "said: callstitch.call.completed.v1",
    ]
    assert "13800000021" not in told
    assert "+8613800000021" in callstitch(up, "trace", session, "--show-numbers")
