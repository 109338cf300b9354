from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from console.emulator.huawei.privatenumber.calls import MODES, Call, build_calls
from console.emulator.huawei.privatenumber.endings import ENDINGS, STEPS, reaches
from console.emulator.huawei.privatenumber.expect import expect
from console.emulator.huawei.privatenumber.payloads import cdr, event, fee, redial_cdr
from console.emulator.huawei.privatenumber.plan import plan
from console.emulator.huawei.pushes import MERGED_AT_MOST
from console.emulator.push import Push
from console.emulator.settings import EmulatorSettings

START = datetime(2026, 11, 21, 2, 30, 3, tzinfo=UTC)
CALLS = build_calls(seed=7, start=START, calls=1500)

# docs/protocols/huawei-privatenumber.md section 1
COMMON = {"sessionId", "timestamp", "caller", "called"}
CODES = {"stateCode", "stateDesc"}
# docs/protocols/huawei-privatenumber.md section 3
CDR_ALWAYS = {
    "direction", "spId", "appKey", "icid", "bindNum", "sessionId", "subscriptionId", "callerNum", "calleeNum",
    "callInTime", "callEndTime", "fwdUnaswRsn", "ulFailReason", "sipStatusCode", "callOutUnaswRsn", "recordFlag",
    "ttsPlayTimes", "ttsTransDuration", "mptyId", "serviceType", "hostName",
}  # fmt: skip
CDR_BY_STEP = {
    "callin": set(),
    "callout": {"fwdStartTime", "fwdDstNum", "fwdDisplayNum"},
    "alerting": {"fwdAlertingTime"},
    "answer": {"fwdAnswerTime"},
}
CDR_RECORDED = {"recordStartTime", "recordDomain", "recordBucketName", "recordObjectName"}
TIMES = {"callInTime", "fwdStartTime", "fwdAlertingTime", "fwdAnswerTime", "callEndTime", "failTime"}


def the_settings(**changes: Any) -> EmulatorSettings:
    settings = EmulatorSettings(
        to="http://127.0.0.1:1/v1/huawei/t",
        platform="huawei_privatenumber",
        app_key="KEY",
        app_secret="SECRET",
        start=START,
        seed=7,
    )
    return replace(settings, **changes)


def a_call(mode: str, state_code: int | None = None, **wanted: Any) -> Call:
    for call in CALLS:
        right = all(bool(getattr(call, name)) == value for name, value in wanted.items())
        if call.mode == mode and state_code in (None, call.ending.state_code) and right:
            return call
    raise AssertionError(f"no call in mode {mode}")


def the_bodies(pushes: list[Push]) -> list[bytes]:
    return [push.body(app_key="KEY") for push in pushes]


def test_every_mode_meets_every_ending() -> None:
    met = {(call.mode, call.ending.outcome) for call in CALLS}
    assert met == {(mode, ending.outcome) for mode in MODES for ending in ENDINGS}


@pytest.mark.parametrize("mode", ["AX", "AXB", "AXYB"])
def test_events_of_a_bound_mode_carry_the_binding_throughout(mode: str) -> None:
    call = a_call(mode, 0)
    assert list(call.times) == [*STEPS, "disconnect"]
    for step in STEPS:
        assert set(event(call, step)["statusInfo"]) == COMMON | {"subscriptionId"}
    assert set(event(call, "disconnect")["statusInfo"]) == COMMON | {"subscriptionId"} | CODES


def test_an_axe_callin_has_no_binding_yet_and_digits_come_alone() -> None:
    call = a_call("AXE", 0, extension=True)
    assert list(call.times) == ["callin", "collectInfo", "callout", "alerting", "answer", "disconnect"]
    assert set(event(call, "callin")["statusInfo"]) == COMMON
    digits = event(call, "collectInfo")
    assert set(digits["statusInfo"]) == {"sessionId", "timestamp", "digitInfo"}
    assert digits["statusInfo"]["digitInfo"] == cdr(call)["extendNumber"]
    assert set(event(call, "callout")["statusInfo"]) == COMMON | {"subscriptionId"}


def test_x_events_have_a_mode_instead_of_a_binding() -> None:
    call = a_call("X", 0)
    assert set(event(call, "callin")["statusInfo"]) == COMMON | {"notifyMode"}
    assert event(call, "callin")["statusInfo"]["notifyMode"] == "Notify"
    assert set(event(call, "answer")["statusInfo"]) == COMMON | {"notifyMode", "userData"}
    assert cdr(call)["notifyMode"] == "Block"
    assert cdr(call)["subscriptionId"] == ""


def test_callin_names_caller_and_x_and_later_events_x_and_callee() -> None:
    call = a_call("AXB", 0)
    callin, answer = event(call, "callin")["statusInfo"], event(call, "answer")["statusInfo"]
    assert (callin["caller"], callin["called"]) == (call.caller, call.private_number)
    assert (answer["caller"], answer["called"]) == (call.private_number, call.callee)
    record = cdr(call)
    numbers = [record[name] for name in ("callerNum", "calleeNum", "fwdDstNum", "bindNum", "fwdDisplayNum")]
    assert numbers == [call.caller, call.private_number, call.callee, call.private_number, call.private_number]


@pytest.mark.parametrize("call", CALLS[:400], ids=lambda call: f"{call.number}")
def test_a_cdr_has_exactly_the_fields_of_its_mode_and_ending(call: Call) -> None:
    [record] = fee([cdr(call)], app_key="KEY")["feeLst"]
    wanted = set(CDR_ALWAYS)
    for step, fields in CDR_BY_STEP.items():
        wanted |= fields if reaches(call.ending, step) else set()
    wanted |= CDR_RECORDED if call.object_name else set()
    wanted |= {"failTime"} if call.ending.outcome != "answered" else set()
    wanted |= {"extendNumber"} if call.extension else set()
    wanted |= {"notifyMode", "userData"} if call.mode == "X" else set()
    assert set(record) == wanted
    assert record["serviceType"] == {"AX": "003", "AXB": "004", "AXE": "005", "AXYB": "007", "X": "004"}[call.mode]
    assert record["recordFlag"] == int(bool(call.object_name))


@pytest.mark.parametrize(
    ("mode", "state_code"), [("AX", 8018), ("AXB", 8014), ("AXE", 8022), ("AXYB", 8030), ("X", 8014)]
)
def test_a_call_without_a_binding_is_abnormal_and_goes_nowhere(mode: str, state_code: int) -> None:
    call = a_call(mode, state_code)
    record, disconnect = cdr(call), event(call, "disconnect")["statusInfo"]
    assert (record["direction"], record["subscriptionId"]) == (2, "")
    assert "fwdDstNum" not in record
    assert disconnect["stateCode"] == state_code
    assert [step for step in call.times if step != "collectInfo"] == ["callin", "disconnect"]


def test_a_redial_cdr_has_another_record_id_and_no_times() -> None:
    call = a_call("AX", 0)
    record = redial_cdr(call)
    assert not TIMES & set(record)
    assert record["icid"] != cdr(call)["icid"]
    assert (record["sessionId"], record["subscriptionId"]) == (call.session_id, call.binding_id)


def test_session_ids_have_the_documented_shape_and_are_unique() -> None:
    assert len({call.session_id for call in CALLS}) == len(CALLS)
    first = CALLS[0]
    node, number, mark, stamp = first.session_id.split("@")[0].split("_")
    assert (node.isdigit(), number.isdigit(), stamp) == (True, True, "20261121023003")
    assert mark in ("0", "4294967295")


def test_people_are_different_in_every_call_and_made_up() -> None:
    numbers = [number for call in CALLS for number in (call.caller, call.callee) if number]
    assert len(set(numbers)) == len(numbers)
    assert all(number.startswith("+86138000") and len(number) == 14 for number in numbers)


def test_half_of_the_long_answered_calls_are_recorded_and_no_short_one() -> None:
    long = [call for call in CALLS if call.talk_seconds >= 3]
    recorded = [call for call in CALLS if call.object_name]
    assert all(call.talk_seconds >= 3 for call in recorded)
    assert 0.4 < len(recorded) / len(long) < 0.6


def test_the_same_seed_and_start_make_the_same_bodies() -> None:
    calls = [build_calls(seed=7, start=START, calls=150) for _ in range(2)]
    first, second = (the_bodies(plan(the_settings(), made)) for made in calls)
    assert first == second
    assert the_bodies(plan(the_settings(concurrency=1, rate=3.0), calls[0])) == first
    assert the_bodies(plan(the_settings(seed=8), build_calls(seed=8, start=START, calls=150))) != first


def test_cdrs_are_merged_up_to_fifty_and_events_go_alone() -> None:
    sizes = {kind: [len(p.items) for p in plan(the_settings(), CALLS) if p.kind == kind] for kind in ("event", "cdr")}
    assert set(sizes["event"]) == {1}
    assert max(sizes["cdr"]) == MERGED_AT_MOST
    assert min(sizes["cdr"]) == 1


def test_the_plan_holds_every_twist() -> None:
    pushes = plan(the_settings(), CALLS)
    again = [push for push in pushes if push.again]
    assert {push.kind for push in again} == {"event", "cdr"}
    assert all(push.needs for push in again)
    amended = [push for push in pushes if any(item.version == 2 for item in push.items)]
    stale = [push for push in again if any(item.version == 2 for item in push.needs)]
    assert 0 < len(stale) < len(amended)
    steps = {(item.call, item.name): push.n for push in reversed(pushes) for item in push.items}
    overtaken = [c for c in CALLS if steps[c.number, c.record_id] < steps[c.number, "disconnect"]]
    lost = [c for c in CALLS if "alerting" in c.times and (c.number, "alerting") not in steps]
    redialled = [c for c in CALLS if (c.number, c.redial_id) in steps]
    assert all(0 < len(calls) < len(CALLS) / 5 for calls in (overtaken, lost, redialled))


def test_an_amended_cdr_differs_in_its_end_alone_and_follows_the_first() -> None:
    pushes = plan(the_settings(), CALLS)
    [new] = next(push.items for push in pushes if push.items[0].version == 2)
    old = next(i for p in pushes for i in p.items if (i.call, i.name, i.version) == (new.call, new.name, 1))
    assert {name for name in new.content if new.content[name] != old.content[name]} == {"callEndTime"}


def test_the_expected_record_of_the_published_sample_call() -> None:
    call = a_call("AXYB", 0, object_name=True)
    events = {step: event(call, step) for step in call.times}
    record = cdr(call)
    expected = expect(call, seed=7, events=events, cdrs={call.record_id: record})
    assert expected["timeline"] == ["answered", "ended", "incoming", "outgoing", "ringing"]
    assert expected["answered_at"] == record["fwdAnswerTime"].replace(" ", "T") + "Z"
    assert expected["talk_seconds"] == call.talk_seconds
    assert expected["recordings"][call.object_name]["bytes"] <= 30 * 1024
    assert (expected["mode"], expected["outcome"], expected["complete"]) == ("AXYB", "answered", True)


def test_an_event_that_never_came_is_missing_though_the_cdr_knows_its_time() -> None:
    call = a_call("AX", 8101)
    events = {step: event(call, step) for step in call.times if step != "alerting"}
    expected = expect(call, seed=7, events=events, cdrs={call.record_id: cdr(call)})
    assert (expected["complete"], expected["missing"]) == (False, ["ringing"])
    assert expected["ring_seconds"] == (call.times["disconnect"] - call.times["alerting"]).seconds


def test_without_its_cdr_a_call_is_known_from_its_events() -> None:
    call = a_call("AXB", 8102)
    expected = expect(call, seed=7, events={step: event(call, step) for step in call.times}, cdrs={})
    assert (expected["caller"], expected["callee"]) == (call.caller, call.callee)
    assert (expected["outcome"], expected["mode"], expected["missing"]) == ("busy", None, ["cdr"])


def test_settings_keep_secrets_out_of_their_text() -> None:
    text = repr(the_settings(truth=Path("sent.jsonl")))
    assert "SECRET" not in text
    assert "/v1/huawei" not in text


def test_a_naive_start_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        the_settings(start=START.replace(tzinfo=None))
