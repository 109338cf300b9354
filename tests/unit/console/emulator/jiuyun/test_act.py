from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from console.emulator.act import Act, Heard
from console.emulator.audio import make_mp3
from console.emulator.jiuyun import payloads
from console.emulator.jiuyun.act import jiuyun
from console.emulator.jiuyun.calls import AxbCall, build_axb_calls
from console.emulator.push import Item, Push
from console.emulator.recordings import Recordings
from console.emulator.settings import EmulatorSettings

START = datetime(2026, 11, 21, 2, 30, 3, tzinfo=UTC)
CALLS = build_axb_calls(seed=7, start=START, calls=1800)
SETTINGS = EmulatorSettings(
    to="http://127.0.0.1:1/v1/jiuyun/t", platform="jiuyun_axb", app_key="KEY", app_secret="SECRET", start=START,
    seed=7, calls=1800,
)  # fmt: skip
RECORDINGS = Recordings(seed=7, app_key="KEY", app_secret="SECRET")
ACT: Act = jiuyun(SETTINGS, RECORDINGS)
# docs/protocols/jiuyun-axb.md section 3, required; and section 4 in the order sent
TYPE_22 = ["action", "type", "appId", "callId", "telX", "endTime", "duration", "byeType", "dateCreated", "recordUrl"]
TYPE_2 = "action type appId caller called maskNumber callId dateCreated userData startTimeA startTimeB endTime duration"


def a_call(variety: str, **wanted: Any) -> AxbCall:
    for call in CALLS:
        right = all(getattr(call, name) == value for name, value in wanted.items())
        if call.variety == variety and right:
            return call
    raise AssertionError(f"no such {variety}")


def items_of(call: AxbCall) -> Sequence[Item]:
    return [item for push in ACT.pushes for item in push.items if item.call == call.number and not push.again]


def a_push(writes: str) -> Push:
    return next(push for push in ACT.pushes if push.items[0].content["writes"] == writes)


def test_every_variety_is_written_in_every_format() -> None:
    assert len({(call.variety, call.writes) for call in CALLS}) == len(payloads.MADE) * 3


def test_a_type_22_hangup_has_the_required_fields_and_may_lack_the_people() -> None:
    told = [payloads.hang_up(call, None) for call in CALLS if call.variety == "axb"]
    assert all(set(TYPE_22) <= set(content) for content in told)
    assert {("caller" in content, "called" in content) for content in told} == {(True, True), (False, False)}
    assert {content["type"] for content in told} == {22}


def test_a_type_2_hangup_keeps_the_order_sent() -> None:
    content = payloads.hang_up(a_call("mask"), None)
    assert list(content)[:13] == TYPE_2.split()


@pytest.mark.parametrize(
    ("variety", "number", "told"),
    [
        ("line", 1, "startTimeA startTimeB userData"),
        ("sip_callback", 7, "startTimeA startTimeB userData"),
        ("sip_direct", 8, "startTime"),
        ("sip_return", 9, "startTime"),
    ],
)
def test_types_without_a_private_number_keep_the_order_sent(variety: str, number: int, told: str) -> None:
    content = payloads.hang_up(a_call(variety), None)
    head = "action type appId caller called subType callId dateCreated userFlag"
    assert list(content) == [*head.split(), *told.split(), "endTime", "duration", "recordUrl", "byeType", "writes"]
    assert content["type"] == number


@pytest.mark.parametrize("variety", ["line", "sip_callback"])
def test_a_call_without_a_private_number_is_told_from_its_invitations_on(variety: str) -> None:
    call = a_call(variety, outcome="answered")
    invited, _, answered, _ = [item.content for item in items_of(call)]
    assert [item.name for item in items_of(call)] == ["CallInvite-0", "CallInvite-1", "CallEstablish", "Hangup"]
    # docs/protocols/jiuyun-axb.md section 4
    assert " ".join(invited) == "action type appId caller called subType callId dateCreated userFlag userData writes"
    assert " ".join(answered) == "action type appId caller called subType callId dateCreated userData writes"
    expected = ACT.expect(call.number, items_of(call))
    assert expected["timeline"] == ["answered", "outgoing", "outgoing"]
    assert (expected["private_number"], expected["mode"]) == (None, None)
    assert expected["user_data"] == call.user_data


def test_nothing_is_spelled_null_in_xml() -> None:
    call = a_call("mask", writes="xml", outcome="busy", user_data=None)
    body = payloads.write(payloads.hang_up(call, None))
    assert b"<startTimeB>null</startTimeB>" in body
    assert b"<userData>null</userData>" in body
    assert b"<recordUrl>null</recordUrl>" in body


def test_xml_is_not_escaped() -> None:
    call = a_call("axb", writes="xml", recorded=True)
    [item] = items_of(call)
    body = payloads.write(item.content)
    assert re.search(rb"<recordUrl>[^<]*&Signature=[^<]*</recordUrl>", body)
    assert b"&amp;" not in body


@pytest.mark.parametrize(("writes", "root"), [("json", "action"), ("wrapped", "req")])
def test_json_is_flat_or_wrapped(writes: str, root: str) -> None:
    body = json.loads(a_push(writes).body(app_key="KEY"))
    assert root in body
    assert "writes" not in body | body.get("req", {})


def test_the_carriers_times_and_causes_of_type_10_are_its_own() -> None:
    content = payloads.hang_up(a_call("virtual", outcome="answered"), None)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", content["startTimeB"])
    assert int(content["byeType"]) > 7


def test_times_are_beijing_time() -> None:
    call = a_call("axb", outcome="answered")
    told = datetime.strptime(payloads.hang_up(call, None)["endTime"] + "+0800", "%Y%m%d%H%M%S%z")
    assert told == call.ended_at


def test_ids_have_the_names_of_their_actions() -> None:
    assert payloads.hang_up(a_call("notice"), None)["requestId"]
    assert payloads.hang_up(a_call("code"), None)["callSid"]
    assert not {"callId", "requestId", "callSid"} & set(payloads.hang_up(a_call("income"), None))


def test_a_call_without_an_id_is_sought_by_its_people_and_its_end() -> None:
    call = a_call("income")
    assert set(ACT.sought[call.number]) == {"caller", "callee", "ended_at"}
    assert set(ACT.sought) == {call.number for call in CALLS if call.variety == "income"}


def test_there_is_no_second_try_yet_some_come_twice() -> None:
    assert set(ACT.repush_minutes.values()) == {()}
    assert 0 < sum(push.again for push in ACT.pushes) < len(ACT.pushes) / 10
    assert all(len(push.items) == 1 for push in ACT.pushes)


def test_a_privacy_line_tells_both_invitations_and_the_answer() -> None:
    call = a_call("mask", outcome="answered")
    assert [item.name for item in items_of(call)] == ["CallInvite-0", "CallInvite-1", "CallEstablish", "Hangup"]
    expected = ACT.expect(call.number, items_of(call))
    assert expected["timeline"] == ["answered", "outgoing", "outgoing"]
    assert expected["private_number"] == f"+86{call.private[1:]}"


@pytest.mark.parametrize(
    ("bye", "outcome"),
    [(1, "unreachable"), (2, "unreachable"), (3, "busy"), (4, "busy"), (6, "failed"), (7, "failed"), (255, "unknown")],
)
def test_the_record_of_an_unanswered_call_says_why(bye: int, outcome: str) -> None:
    call = next(call for call in CALLS if call.bye == bye and call.variety in ("axb", "mask", "line"))
    expected = ACT.expect(call.number, items_of(call))
    assert (expected["outcome"], expected["talk_seconds"], expected["answered_at"]) == (outcome, 0, None)


def test_a_recording_is_an_mp3_behind_the_link_that_was_sent() -> None:
    call = a_call("axb", recorded=True)
    expected = ACT.expect(call.number, items_of(call))
    assert expected["recordings"] == {call.audio_name: RECORDINGS.audio_digest(call.audio_name)}
    assert make_mp3(7, call.audio_name)[:3] == b"ID3"
    assert make_mp3(7, call.audio_name) == make_mp3(7, call.audio_name) != make_mp3(8, call.audio_name)


XML_ANSWER = b"<?xml version='1.0' encoding='utf-8'?>\n<Response>\n<statusCode>0000</statusCode>\n</Response>"


@pytest.mark.parametrize(
    ("writes", "body", "wrong"),
    [
        ("xml", XML_ANSWER, 0),
        ("xml", b'{"statusCode":"0000"}', 1),
        ("xml", XML_ANSWER.replace(b"0000", b"000000"), 1),
        ("json", b'{"statusCode":"0000","statusMsg":"Success"}', 0),
        ("wrapped", b'{"statusCode":"0000"}', 0),
        ("json", XML_ANSWER, 1),
        ("json", b'{"statusCode":0}', 1),
        ("json", b"", 1),
    ],
)
def test_the_answer_comes_in_the_format_of_the_request(writes: str, body: bytes, wrong: int) -> None:
    heard = Heard(status=200, content_type="", body=body)
    assert len(ACT.faults(a_push(writes), heard)) == wrong
