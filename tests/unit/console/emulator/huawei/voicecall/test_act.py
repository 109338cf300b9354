from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

import pytest

from console.emulator.act import Heard, Request
from console.emulator.huawei.pushes import MERGED_AT_MOST
from console.emulator.huawei.voicecall import payloads
from console.emulator.huawei.voicecall.act import voice_call
from console.emulator.huawei.voicecall.calls import CALLBACK_ENDINGS, ONE_LEG_ENDINGS, VoiceCall, build_voice_calls
from console.emulator.huawei.voicecall.expect import expect
from console.emulator.huawei.voicecall.plan import plan
from console.emulator.push import Push
from console.emulator.recordings import Recordings
from console.emulator.settings import EmulatorSettings

START = datetime(2026, 11, 21, 2, 30, 3, tzinfo=UTC)
CALLS = build_voice_calls(seed=7, start=START, calls=900)
SETTINGS = EmulatorSettings(
    to="http://127.0.0.1:1/v1/voicecall/t", platform="huawei_voicecall", app_key="KEY", app_secret="SECRET",
    start=START, seed=7, calls=900,
)  # fmt: skip
RECORDINGS = Recordings(seed=7, app_key="KEY", app_secret="SECRET")
PUSHES = plan(SETTINGS, CALLS, RECORDINGS)


def a_call(product: str, last_step: str, **wanted: Any) -> VoiceCall:
    for call in CALLS:
        right = all(bool(getattr(call, name)) == value for name, value in wanted.items())
        if (call.product, call.ending.last_step) == (product, last_step) and right:
            return call
    raise AssertionError(f"no such call of {product}")


def told_of(call: VoiceCall, *, without: str = "") -> list[Any]:
    items = [item for push in PUSHES for item in push.items if item.call == call.number and not push.again]
    return [item for item in items if item.name != without]


def test_every_product_meets_every_ending() -> None:
    met = {(call.product, call.ending.last_step, call.ending.state_code) for call in CALLS}
    one_leg = {(product, e.last_step, e.state_code) for product in ("notify", "verify") for e in ONE_LEG_ENDINGS}
    assert met == {("callback", e.last_step, e.state_code) for e in CALLBACK_ENDINGS} | one_leg


def test_both_legs_have_one_session_id_and_are_told_apart_by_called() -> None:
    call = a_call("callback", "answer_b")
    answers = [payloads.status(call, step) for step in ("answer_a", "answer_b")]
    assert [answer["eventType"] for answer in answers] == ["answer", "answer"]
    assert {answer["statusInfo"]["sessionId"] for answer in answers} == {call.session_id}
    assert [answer["statusInfo"]["called"] for answer in answers] == [call.user_a, call.user_b]


def test_a_callback_cdr_names_the_users_as_calleenum_and_fwddstnum() -> None:
    call = a_call("callback", "answer_b")
    record = payloads.cdr(call)
    numbers = [record[name] for name in ("callerNum", "calleeNum", "fwdDisplayNum", "fwdDstNum")]
    assert numbers == [call.display, call.user_a, call.display, call.user_b]
    assert record["serviceType"] == "002"


@pytest.mark.parametrize("product", ["notify", "verify"])
def test_a_cdr_of_one_leg_has_no_second_one(product: str) -> None:
    record = payloads.cdr(a_call(product, "answer_a"))
    assert not [name for name in record if name.startswith("fwd") and name != "fwdUnaswRsn"]
    assert record["serviceType"] == "001"


def test_an_unanswered_b_looks_like_the_real_record_of_the_page() -> None:
    call = a_call("callback", "ring_b", old_dates=False)
    record = payloads.cdr(call)
    codes = [record[name] for name in ("ulFailReason", "sipStatusCode", "fwdUnaswRsn", "callOutUnaswRsn")]
    assert codes == [518, 480, 0, 0]
    assert "fwdAnswerTime" not in record
    assert record["failTime"] == record["callEndTime"]


def test_some_calls_have_two_spaces_in_all_their_dates() -> None:
    call = a_call("callback", "answer_b", old_dates=True)
    times = [value for name, value in payloads.cdr(call).items() if name.endswith("Time") and value]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d  \d\d:\d\d:\d\d", time) for time in times)
    assert 0.1 < sum(call.old_dates for call in CALLS) / len(CALLS) < 0.3


def test_cdrs_of_one_second_are_merged_up_to_fifty_and_only_they() -> None:
    sizes = set()
    for push in PUSHES:
        if push.kind == "cdr":
            ends = {item.content["callEndTime"].replace("  ", " ") for item in push.items}
            assert len(ends) == 1
            sizes.add(len(push.items))
    assert 1 in sizes
    assert 1 < max(sizes) <= MERGED_AT_MOST


def test_status_comes_in_order_before_the_cdr_and_is_never_pushed_again() -> None:
    act = voice_call(SETTINGS, RECORDINGS)
    by_call: dict[int, list[Push]] = defaultdict(list)
    for push in PUSHES:
        for number in push.calls:
            by_call[number].append(push)
    for number, pushes in by_call.items():
        names = [push.items[0].name for push in pushes if push.kind == "event"]
        steps = [name for name in names if name != "digits"]
        assert steps == [step for step in CALLS[number].times if step in steps]
        assert {push.kind for push in pushes[len(names) :]} == {"cdr"}
    assert (act.repush_minutes["event"], act.repush_minutes["cdr"]) == ((), (60, 120, 180, 240, 300, 360))
    assert {push.kind for push in PUSHES if push.again} == {"cdr"}


def test_each_product_has_urls_of_its_own() -> None:
    paths = {push.form.path for push in PUSHES}
    assert paths == {f"/{what}/{product}" for what in ("status", "fee") for product in ("callback", "notify", "verify")}


def test_a_push_is_signed_over_its_url_in_beijing_time() -> None:
    act = voice_call(SETTINGS, RECORDINGS)
    request = act.sign(Request(url="http://h/x", body=b""), PUSHES[0], "abc", datetime(2026, 1, 1, 23, tzinfo=UTC))
    told = b"http://h/x\nabc\n2026-01-02T07:00:00Z"
    digest = base64.b64encode(hmac.new(b"SECRET", told, hashlib.sha256).digest()).decode()
    assert f'PasswordDigest="{digest}"' in request.headers["X-AKSK"]
    assert 'Created="2026-01-02T07:00:00Z"' in request.headers["X-AKSK"]


def test_the_record_of_a_callback_names_the_people_and_counts_from_b() -> None:
    call = a_call("callback", "answer_b")
    expected = expect(call, told_of(call), seed=7)
    assert (expected["caller"], expected["callee"], expected["private_number"]) == (call.user_a, call.user_b, None)
    assert expected["talk_seconds"] == (call.times["end"] - call.times["answer_b"]).seconds
    assert expected["ring_seconds"] == (call.times["answer_b"] - call.times["ring_b"]).seconds
    assert expected["timeline"].count("answered") == 2
    assert (expected["complete"], expected["product"]) == (True, "callback")


def test_a_lost_status_is_missing_in_a_callback_and_not_in_a_notice() -> None:
    callback, notify = a_call("callback", "answer_b"), a_call("notify", "answer_a")
    assert expect(callback, told_of(callback, without="ring_a"), seed=7)["missing"] == ["ringing"]
    assert expect(notify, told_of(notify, without="ring_a"), seed=7)["missing"] == []


def test_a_notice_has_no_caller() -> None:
    call = a_call("notify", "ring_a")
    expected = expect(call, told_of(call), seed=7)
    assert (expected["caller"], expected["callee"], expected["outcome"]) == (None, call.user_a, "no_answer")
    assert expected["ringing_at"]


def test_a_body_that_no_page_shows_is_a_fault() -> None:
    act = voice_call(SETTINGS, RECORDINGS)
    bodies = (b"", b'{"resultcode":"0","resultdesc":"Success"}', b"ok")
    found = [act.faults(PUSHES[0], Heard(status=200, content_type="", body=body)) for body in bodies]
    assert [len(one) for one in found] == [0, 0, 1]


def test_a_recording_is_announced_by_its_name_or_by_a_link_alone() -> None:
    cdrs = [item.content for push in PUSHES for item in push.items if item.content.get("recordFlag") == 1]
    named = {
        (bool(cdr["recordObjectName"]), bool(cdr["recordDomain"])) for cdr in cdrs if not cdr["recordFileDownloadUrl"]
    }
    linked = {cdr["recordObjectName"] + cdr["recordDomain"] for cdr in cdrs if cdr["recordFileDownloadUrl"]}
    assert (named, linked) == ({(True, True)}, {""})


def test_the_same_seed_and_start_make_the_same_bodies() -> None:
    first, second = (
        [
            push.body(app_key="KEY")
            for push in plan(SETTINGS, build_voice_calls(seed=7, start=START, calls=60), RECORDINGS)
        ]
        for _ in range(2)
    )
    assert first == second
    assert json.loads(first[0])["eventType"] == "callout"
