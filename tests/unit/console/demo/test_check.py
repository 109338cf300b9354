"""The demo's check can fail: each way to be wrong is named with the call it is about."""

from __future__ import annotations

from typing import Any

import pytest

from console.demo.check import Truth, faults, left_open

EXPECT: dict[str, Any] = {
    "mode": None, "direction": None, "caller": "+8613800000001", "callee": "+8613800000002", "private_number": None,
    "extension": None, "outcome": "answered", "answered": True, "ring_seconds": 4, "talk_seconds": 60,
    "called_in_at": None, "started_at": None, "ringing_at": None, "answered_at": "2026-01-01T00:00:00Z",
    "ended_at": "2026-01-01T00:01:00Z", "complete": True, "missing": [], "product": "axb",
    "timeline": ["answered", "decided"], "decision": {"action": "connect", "callee": "+8613800000002"},
    "recordings": {}, "cdrs": [{"record_id": None, "ended_at": "2026-01-01T00:01:00Z"}], "cdr_accepted": True,
}  # fmt: skip
SMS = {"sender": "+8613800000001", "receiver": "+8613800000002", "decision": None, "due": True}


def a_line(**changes: Any) -> dict[str, Any]:
    told = {"session_id": "s1", "source": "a", "given_up": [], "cdr_given_up": False}
    return (
        told
        | {name: changes.pop(name) for name in [*changes] if name in (*told, "sought")}
        | {"expect": EXPECT | changes}
    )


def an_event(**changes: Any) -> dict[str, Any]:
    fields = {name: value for name, value in EXPECT.items() if name not in ("cdr_accepted", "timeline", "decision")}
    record = fields | {
        "session_id": "s1", "source": "a", "revision": 1, "recordings": [],
        "timeline": [{"type": "answered"}, {"type": "decided"}],
        "decision": EXPECT["decision"] | {"by": "rule", "milliseconds": 3},
        "cdrs": [{"record_id": "ours", "ended_at": "2026-01-01T00:01:00Z"}],
    } | changes  # fmt: skip
    return {"id": "e1", "type": "callstitch.call.completed.v1", "subject": "a:s1", "data": {"call": record}}


def an_sms(**changes: Any) -> dict[str, Any]:
    sms = {**SMS, "identifier": "m1", "revision": 1, **changes}
    return {"id": "m1", "type": "callstitch.sms.notified.v1", "subject": "a:m1", "data": {"sms": sms}}


def found(line: dict[str, Any], *events: dict[str, Any], deaths: int = 0) -> list[str]:
    return faults(Truth(calls={"s1": line}, end=None), list(events), deaths=deaths)


def test_a_record_as_the_platform_knows_it_has_no_fault() -> None:
    assert found(a_line(), an_event()) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"callee": "+8613800000009"},
        {"product": "pnp"},
        {"source": "b"},
        {"decision": None},
        {"decision": {"action": "close", "callee": None}},
        {"timeline": [{"type": "answered"}]},
        {"cdrs": []},
    ],
)
def test_a_wrong_field_is_named_with_its_call(wrong: dict[str, Any]) -> None:
    [fault] = found(a_line(), an_event(**wrong))
    assert fault.startswith("s1: ")
    assert "+8613800000009" not in fault


def test_no_event_is_a_fault_unless_the_platform_gave_up_telling_the_end() -> None:
    given_up = a_line(given_up=["Hangup"], cdr_given_up=True, cdr_accepted=False, timeline=["outgoing"])
    assert found(a_line()) == ["s1: no event about this call"]
    assert found(given_up) == []
    assert (left_open(Truth(calls={"s1": given_up}, end=None)), left_open(Truth(calls={"s1": a_line()}, end=None))) == (
        1,
        0,
    )


def test_of_a_call_told_in_part_the_bill_is_checked() -> None:
    in_part = a_line(given_up=["answer"])
    assert found(in_part, an_event(timeline=[], missing=["answered"], complete=False)) == []
    assert len(found(in_part, an_event(talk_seconds=61))) == 1


def test_a_decision_may_be_lost_by_a_death_and_is_never_another_one() -> None:
    lost = an_event(decision=None, timeline=[{"type": "answered"}])
    other = an_event(decision={"action": "close", "callee": None})
    assert found(a_line(), lost, deaths=1) == []
    assert len(found(a_line(), lost)) == 2
    assert len(found(a_line(), other, deaths=1)) == 1


def test_a_call_without_an_id_is_found_by_what_is_sought() -> None:
    line = a_line(session_id="none", sought={"caller": EXPECT["caller"], "ended_at": EXPECT["ended_at"]})
    truth = Truth(calls={"none": line}, end=None)
    assert faults(truth, [an_event(session_id="a hash of ours")]) == []
    assert faults(truth, [an_event(caller="+8613800000009")]) == [
        "none: no event about this call",
        "s1: a call that was never made",
    ]


def test_an_sms_is_compared_with_what_was_told_of_it() -> None:
    truth = Truth(calls={}, end=None, messages={"m1": {"given_up": [], "expect": SMS}})
    assert faults(truth, [an_sms()]) == []
    assert faults(truth, []) == ["m1: no event about this SMS"]
    assert faults(truth, [an_sms(receiver=None)]) == ["m1: receiver is not the platform's truth"]
    assert faults(Truth(calls={}, end=None), [an_sms()]) == ["m1: an SMS that was never sent"]


def test_the_decision_on_an_sms_may_be_lost_by_a_death_too_and_nothing_else_of_it() -> None:
    line = {"given_up": [], "expect": {**SMS, "decision": {"action": "route", "callee": "+8613800000004"}}}
    truth = Truth(calls={}, end=None, messages={"m1": line})
    assert faults(truth, [an_sms(decision=None)], deaths=1) == []
    for lost in ({"decision": None}, {"decision": {"action": "discard", "callee": None}}):
        assert faults(truth, [an_sms(**lost)]) == ["m1: decision is not the platform's truth"]
    assert len(faults(truth, [an_sms(decision=None, receiver=None)], deaths=1)) == 1


def test_fewer_notices_than_were_accepted_are_a_fault() -> None:
    truth = Truth(calls={}, end={"numbers_changed": 1, "notices": 0})
    [fault] = faults(truth, [])
    assert "1 numbers_changed were accepted" in fault
