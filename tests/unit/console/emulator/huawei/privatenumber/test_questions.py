"""The questions that PrivateNumber asks: how they are put, how answers are judged, and what comes of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from console.emulator.act import Act, Heard
from console.emulator.huawei.privatenumber.act import private_number
from console.emulator.push import Item, Push
from console.emulator.recordings import Recordings
from console.emulator.settings import EmulatorSettings

START = datetime(2026, 11, 21, 2, 30, 3, tzinfo=UTC)
CALLEE = "+8613900000001"


def an_act(**changes: Any) -> Act:
    settings = EmulatorSettings(
        to="http://127.0.0.1:1/v1/huawei/t",
        platform="huawei_privatenumber",
        app_key="KEY",
        app_secret="SECRET",
        start=START,
        seed=7,
        **{"calls": 200, "ask": True, "messages": 40, **changes},
    )  # fmt: skip
    return private_number(settings, Recordings(seed=7, app_key="KEY", app_secret="SECRET"))


def heard(body: object) -> Heard:
    return Heard(status=200, content_type="application/json", body=json.dumps(body).encode())


def a_question(act: Act, kind: str = "event") -> Push:
    return next(push for push in act.pushes if push.asks and push.kind == kind)


def told_after(act: Act, question: Push) -> Sequence[Item]:
    """The items about its call that still go out after the answer, each once, in their last version."""
    [number] = question.calls
    pushes = [act.as_it_went(push) for push in act.pushes if number in push.calls and not push.asks]
    return [item for push in pushes if push for item in push.items if item.call == number]


def connect(question: Push, **more: Any) -> dict[str, Any]:
    number = question.items[0].content["statusInfo"]["called"]
    return {"operation": "connect", "connectInfo": {"calleeNum": CALLEE, "displayCalleeNum": number, **more}}


def route(question: Push, **changes: Any) -> dict[str, Any]:
    message = {"called": CALLEE, "calling": question.items[0].content["smsEvent"]["calling"]}
    return {"actions": [{"operation": "vNumberRoute", "message": message, **changes}]}


def test_each_callin_of_x_mode_waits_and_is_asked_once() -> None:
    act = an_act(messages=0)
    modes = {push.items[0].content["statusInfo"].get("notifyMode") for push in act.pushes if push.asks}
    assert modes == {"Block"}
    calls = [push.calls[0] for push in act.pushes if push.asks]
    assert len(calls) == len(set(calls))
    first = {push.calls[0]: push for push in reversed(act.pushes) if push.kind == "event"}
    assert all(first[call].asks for call in calls)


def test_without_questions_no_push_says_block_but_the_cdrs_of_x_mode() -> None:
    act = an_act(ask=False)
    assert not [push for push in act.pushes if push.asks]
    bodies = [push.body(app_key="KEY") for push in act.pushes if push.kind != "cdr"]
    assert not [body for body in bodies if b'"Block"' in body]


@pytest.mark.parametrize("shape", [lambda info: info, lambda info: [info]], ids=["object", "array of one"])
def test_a_call_that_is_connected_goes_to_the_number_of_the_answer(shape: Any) -> None:
    act = an_act()
    question = a_question(act)
    answer = connect(question, userData="flag1")
    act.hear(question, heard(answer | {"connectInfo": shape(answer["connectInfo"])}))
    told = told_after(act, question)
    cdr = next(item.content for item in told if item.kind == "cdr" and "callEndTime" in item.content)
    assert (cdr["fwdDstNum"], cdr["userData"], cdr["notifyMode"]) == (CALLEE, "flag1", "Block")
    expected = act.expect(question.calls[0], [*question.items, *told])
    assert (expected["callee"], expected["mode"]) == (CALLEE, "X")
    assert expected["decision"] == {"action": "connect", "callee": CALLEE}
    assert expected["timeline"].count("decided") == 1


@pytest.mark.parametrize(
    "answer", [heard({"operation": "close", "closeInfo": {}}), heard({"operation": "dance"}), None]
)
def test_a_call_that_is_not_connected_ends_at_once(answer: Heard | None) -> None:
    act = an_act()
    question = a_question(act)
    act.hear(question, answer)
    told = told_after(act, question)
    assert {item.name for item in told if item.kind == "event"} == {"disconnect"}
    expected = act.expect(question.calls[0], [*question.items, *told])
    assert (expected["outcome"], expected["callee"], expected["complete"]) == ("blocked", None, True)
    assert bool(expected["decision"]) == (answer is not None)


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ({"calleeNum": 13900000001}, "calleeNum"),
        ({"calleeNum": "+86"}, "calleeNum"),
        ({"displayCalleeNum": "+8613800000000"}, "displayCalleeNum"),
        ({"recordFlag": True}, "recordFlag"),
        ({"maxDuration": "60"}, "maxDuration"),
        ({"maxDuration": 1441}, "maxDuration"),
        ({"calleeNumber": CALLEE}, "calleeNumber"),
    ],
)
def test_a_wrong_field_of_connectinfo_is_a_fault(more: dict[str, Any], fault: str) -> None:
    act = an_act()
    question = a_question(act)
    assert act.faults(question, heard(connect(question))) == []
    [found] = act.faults(question, heard(connect(question, **more)))
    assert fault in found


@pytest.mark.parametrize("body", [b"", b"ok", b"[]", b'{"operation":"connect"}', b'{"connectInfo":{}}'])
def test_an_answer_without_operation_or_info_is_a_fault(body: bytes) -> None:
    act = an_act()
    assert len(act.faults(a_question(act), Heard(status=200, content_type="", body=body))) == 1


def test_an_sms_of_x_mode_is_notified_with_its_receiver_once_it_was_routed() -> None:
    act = an_act()
    question = a_question(act, "sms")
    assert "called" not in question.items[0].content["smsEvent"]
    act.hear(question, heard(route(question)))
    [notice] = told_after(act, question)
    assert notice.content["smsEvent"]["called"] == CALLEE
    assert notice.content["smsEvent"]["notificationMode"] == "Notify"
    expected = act.expect(question.calls[0], [*question.items, notice])
    assert (expected["receiver"], expected["due"]) == (CALLEE, True)
    assert expected["decision"] == {"action": "route", "callee": CALLEE}


def test_an_sms_that_was_discarded_is_not_notified() -> None:
    act = an_act()
    question = a_question(act, "sms")
    act.hear(question, heard({"actions": [{"operation": "DiscardMessage"}]}))
    assert told_after(act, question) == []
    assert act.expect(question.calls[0], question.items)["due"] is False


def test_a_wrong_answer_to_an_sms_is_a_fault() -> None:
    act = an_act()
    question = a_question(act, "sms")
    calling = question.items[0].content["smsEvent"]["calling"]
    assert act.faults(question, heard(route(question))) == []
    wrong: list[object] = [
        {"operation": "vNumberRoute"},
        {"actions": []},
        {"actions": {"operation": "DiscardMessage"}},
        route(question, operation="route"),
        route(question, operation="DiscardMessage"),
        route(question, message={"called": CALLEE, "calling": "+8613800000000"}),
        route(question, message={"calling": calling}),
    ]
    assert [len(act.faults(question, heard(body))) for body in wrong] == [1] * len(wrong)


def test_sms_come_in_both_spellings_and_both_shapes_of_extparas() -> None:
    events = [item.content["smsEvent"] for push in an_act().pushes if push.kind == "sms" for item in push.items]
    assert {event["event"] for event in events} == {"Text SMS ", "TextSMS"}
    assert {type(event["extInfo"]["extParas"]) for event in events} == {list, dict}
    assert {event["notificationMode"] for event in events} == {"Block", "Notify"}


def test_the_state_of_a_number_has_the_documented_shape() -> None:
    states = [json.loads(push.body(app_key="KEY")) for push in an_act().pushes if push.kind == "number"]
    assert {info["status"] for body in states for info in body["numInfo"]} == {5, 9}
    assert {body["eventType"] for body in states} == {"numStatus"}
