from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest

from console.emulator.act import Act, Heard, Request
from console.emulator.aliyun.act import aliyun
from console.emulator.aliyun.calls import build_pnp_calls
from console.emulator.aliyun.signing import control_signature
from console.emulator.push import Push
from console.emulator.recordings import Recordings
from console.emulator.settings import EmulatorSettings

START = datetime(2026, 11, 21, 2, 30, 3, tzinfo=UTC)
CALLS = build_pnp_calls(seed=7, start=START, calls=600, ask=True)
REPORT_FIELDS = {
    "phone_no", "secret_no", "peer_no", "pool_key", "partner_key", "sub_id", "city", "out_id", "id", "call_id",
    "call_type", "called_display_no", "call_time", "call_out_time", "ring_time", "free_ring_time", "start_time",
    "release_time", "release_dir", "release_cause", "unconnected_cause", "control_type", "control_msg", "record_url",
    "ring_record_url",
}  # fmt: skip
CONTINUE = {"code": "OK", "message": "success", "model": {"controlOperate": "CONTINUE", "subsId": "7"}}
REJECT = {"code": "OK", "model": {"controlOperate": "REJECT", "controlMsg": "NO_SUBS_EXIST", "subsId": "0"}}


def an_act(**changes: Any) -> Act:
    settings = EmulatorSettings(
        to="http://127.0.0.1:1/v1/aliyun/t", platform="aliyun_pnp", app_key="KEY", app_secret="demo-secret-not-real",
        start=START, seed=7, **{"calls": 600, "ask": True, **changes},
    )  # fmt: skip
    return aliyun(settings, Recordings(seed=7, app_key="KEY", app_secret="SECRET"))


ACT = an_act()


def items(name: str, act: Act = ACT) -> list[dict[str, Any]]:
    return [item.content for push in act.pushes if not push.again for item in push.items if item.name == name]


def heard(body: object) -> Heard:
    return Heard(status=200, content_type="application/json", body=json.dumps(body).encode())


def a_question(act: Act) -> Push:
    return next(push for push in act.pushes if push.asks and CALLS[push.calls[0]].ending.answered)


def pushes_of(act: Act, number: int) -> list[Push]:
    sent = [act.as_it_went(push) for push in act.pushes if number in push.calls and not push.asks]
    return [push for push in sent if push]


def test_every_body_is_an_array_of_one_type_and_questions_are_forms() -> None:
    for push in ACT.pushes:
        body = push.body(app_key="KEY")
        if push.asks:
            assert parse_qs(body.decode())["recordType"] == ["CAL"]
        else:
            assert len(json.loads(body)) == len(push.items)
            assert len({item.name for item in push.items}) == 1
    assert max(len(push.items) for push in ACT.pushes) > 1


def test_a_report_has_the_fields_of_the_page_and_times_in_beijing() -> None:
    calls = {call.call_id: call for call in CALLS}
    for report in items("SecretReport"):
        assert set(report) - {"extension"} == REPORT_FIELDS
        called = datetime.strptime(report["call_time"] + "+0800", "%Y-%m-%d %H:%M:%S%z")
        assert called == calls[report["call_id"]].called_at


def test_an_unanswered_call_starts_when_it_is_released_and_one_that_never_rang_rings_when_it_goes_out() -> None:
    calls = {call.call_id: call for call in CALLS}
    for report in items("SecretReport"):
        call = calls[report["call_id"]]
        assert (report["release_time"] > report["start_time"]) == call.ending.answered
        assert (report["ring_time"] > report["call_out_time"]) == (call.rang_at is not None)


@pytest.mark.parametrize("name", ["sub_id", "call_type", "id"])
def test_an_id_is_sent_as_string_and_as_number(name: str) -> None:
    assert {type(report[name]) for report in items("SecretReport")} == {int, str}


def test_a_recording_is_announced_in_milliseconds_without_an_address() -> None:
    calls = {call.call_id: call for call in CALLS}
    announced = items("SecretRecording")
    assert announced
    for recording in announced:
        assert int(recording["call_time"]) == int(calls[recording["call_id"]].called_at.timestamp()) * 1000
        assert set(recording) == {"pool_key", "sub_id", "call_id", "call_time", "out_id"}


def test_only_some_calls_tell_ringing_and_pick_up() -> None:
    rang = sum(call.rang_at is not None for call in CALLS)
    assert 0 < len(items("SecretRingReport")) < rang
    assert len(items("SecretStartReport")) == len(items("SecretReport")) == len(CALLS)


def test_receipts_are_repeated_after_1_5_and_10_minutes_and_wait_700_ms() -> None:
    assert {ACT.repush_minutes[kind] for kind in ACT.repush_minutes} == {(1, 5, 10)}
    assert ACT.reply_seconds == 0.7


def test_the_signature_is_that_of_the_worked_example() -> None:
    params = {
        "callId": "8f3c2b1a9d7e4c60", "callNo": "13800000001", "callTime": "20240305140708", "extension": "",
        "format": "JSON", "recordType": "CAL", "secretNo": "17000000002", "signatureMethod": "HMAC-SHA1",
        "signatureNonce": "0f6e5b0c-6a1e-4f6b-9d0a-2b7c1f1e9a10", "signatureVersion": "1.0",
        "timestamp": "2024-03-05T06:07:08Z",
    }  # fmt: skip
    assert control_signature(params, secret="demo-secret-not-real") == "R0Wus0MREqMZdApPiOqJqzor3T4="
    trapped = params | {"callId": "demo call*id~01^9a8b"}
    assert control_signature(trapped, secret="demo-secret-not-real") == "N1GrEwctkPftdfPO39jTpLkG0Eg="


def test_each_attempt_of_a_question_has_a_nonce_a_time_and_a_signature_of_its_own() -> None:
    push = a_question(ACT)
    body = push.body(app_key="KEY")
    now = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
    first, second = (ACT.sign(Request(url="http://h", body=body), push, nonce * 32, now).body for nonce in "ab")
    params = {name: value for name, [value] in parse_qs(first.decode()).items()}
    assert params["timestamp"] == "2026-11-21T03:00:00Z"
    assert params.pop("signature") == control_signature(params, secret="demo-secret-not-real")
    assert first != second


def test_a_call_that_is_let_through_goes_where_the_answer_says() -> None:
    act = an_act()
    push = a_question(act)
    number = push.calls[0]
    act.hear(push, heard(CONTINUE | {"model": CONTINUE["model"] | {"calledNo": "13900000001"}}))  # type: ignore[operator]
    [report] = [i.content for p in pushes_of(act, number) for i in p.items if i.call == number and i.kind == "cdr"][:1]
    expected = act.expect(
        number, [item for p in (push, *pushes_of(act, number)) for item in p.items if item.call == number]
    )
    assert (report["peer_no"], expected["callee"]) == ("13900000001", "+8613900000001")
    assert expected["decision"] == {"action": "connect", "callee": "+8613900000001"}
    assert (expected["mode"], expected["timeline"].count("decided")) == ("X", 1)


@pytest.mark.parametrize("answer", [heard(REJECT), heard({"code": 0}), None])
def test_a_call_that_is_not_let_through_is_blocked_and_never_rings(answer: Heard | None) -> None:
    act = an_act()
    push = a_question(act)
    number = push.calls[0]
    act.hear(push, answer)
    told = [item for p in pushes_of(act, number) for item in p.items if item.call == number]
    assert {item.name for item in told} == {"SecretStartReport", "SecretReport"}
    expected = act.expect(number, told)
    assert (expected["outcome"], expected["callee"], expected["direction"]) == ("blocked", None, "abnormal")


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        (CONTINUE, 0),
        (CONTINUE | {"model": json.dumps(CONTINUE["model"])}, 0),
        (REJECT, 0),
        ({"code": 0, "msg": "ok"}, 2),
        (CONTINUE | {"model": {"controlOperate": "CONNECT", "subsId": "7"}}, 1),
        (CONTINUE | {"model": {"controlOperate": "CONTINUE", "subsId": 7}}, 1),
        (REJECT | {"model": {"controlOperate": "REJECT", "subsId": "0"}}, 1),
    ],
)
def test_an_answer_to_a_question_is_judged_by_its_table(body: dict[str, Any], wrong: int) -> None:
    assert len(ACT.faults(a_question(ACT), heard(body))) == wrong


@pytest.mark.parametrize(("body", "wrong"), [({"code": 0}, 0), ({"code": 5}, 0), ({"code": "0"}, 1), ([], 1)])
def test_a_receipt_wants_a_code_that_is_a_number(body: object, wrong: int) -> None:
    receipt = next(push for push in ACT.pushes if not push.asks)
    assert len(ACT.faults(receipt, heard(body))) == wrong


def test_without_questions_nothing_asks() -> None:
    assert not [push for push in an_act(ask=False).pushes if push.asks]


def test_messages_come_in_every_variety() -> None:
    act = an_act(messages=60)
    names = {item.name for push in act.pushes for item in push.items if item.call not in act.sessions}
    assert names == {
        "question", "SecretSmsIntercept", "NumberManagementReport", "SecretAsrReport", "SmartLogisticsReport",
    }  # fmt: skip


def test_an_sms_that_waited_and_passed_has_its_decision() -> None:
    act = an_act(messages=60)
    push = next(push for push in act.pushes if push.asks and push.calls[0] in act.messages)
    number = push.calls[0]
    act.hear(push, heard(CONTINUE | {"model": CONTINUE["model"] | {"calledNo": "13900000001"}}))  # type: ignore[operator]
    told = [item for p in act.pushes for item in p.items if item.call == number]
    expected = act.expect(number, told)
    assert (expected["due"], expected["decision"]) == (True, {"action": "route", "callee": "+8613900000001"})


def test_a_call_lasts_from_answer_to_release() -> None:
    number = next(call.number for call in CALLS if call.ending.answered and not call.asks and call.recorded)
    call = CALLS[number]
    assert call.answered_at is not None
    told = [item for push in ACT.pushes for item in push.items if item.call == number]
    expected = ACT.expect(number, told)
    assert timedelta(seconds=expected["talk_seconds"]) == call.released_at - call.answered_at
    assert set(expected["recordings"]) == {call.audio_name}
