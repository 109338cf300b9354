"""Payloads that nobody here has seen, made from the words of docs/protocols/jiuyun-axb.md; sections are its own."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from schemas.facts import Announced, CallEvent, CallFields, Cdr, Code, Leg, Other, Parsed
from schemas.notification import Notification
from schemas.platforms.jiuyun import DIALECT
from schemas.platforms.jiuyun.settings import JiuyunSource
from schemas.vocabulary import Outcome

A, B, X, MASK = "+8613800000001", "+8613900000003", "+8617000000002", "+8675500000004"
CALL = "a1b2c3d4e5f60718293a4b5c6d7e8f90"
HANGUP = {
    "action": "Hangup", "type": "22", "appId": "app", "callId": CALL, "telX": "17000000002",
    "endTime": "20170422163810", "duration": "0", "byeType": "0", "dateCreated": "20161106190844", "recordUrl": "",
}  # fmt: skip
OLDER = {"action": "Hangup", "appId": "app", "callId": CALL, "caller": "13800000001", "called": "13900000003"}


def a_source(**settings: Any) -> JiuyunSource:
    row = {"name": "jiuyun", "platform": "jiuyun_axb", "tokens": ["token"], **settings}
    return JiuyunSource.model_validate(row)


def xml(fields: dict[str, Any]) -> bytes:
    """As the sender makes it: joined, not escaped; a null becomes the text null."""
    leaves = (f"<{name}>{'null' if value is None else value}</{name}>" for name, value in fields.items())
    return f"<?xml version='1.0'?>\n<req>{''.join(leaves)}</req>".encode()


def parsed(body: bytes, **settings: Any) -> Parsed:
    push = Notification(path="", remote="192.0.2.1", content_type="application/xml", body=body)
    (one,) = DIALECT.parse(push, a_source(**settings))
    assert isinstance(one, Parsed)
    return one


def the_cdr(fields: dict[str, Any], **settings: Any) -> Cdr:
    body = parsed(xml(fields), **settings).body
    assert isinstance(body, Cdr)
    return body


def the_event(fields: dict[str, Any]) -> CallEvent:
    body = parsed(xml(fields)).body
    assert isinstance(body, CallEvent)
    return body


def at(day: str, clock: str) -> datetime:
    return datetime.fromisoformat(f"{day}T{clock}+00:00")


def test_times_in_an_impossible_order_are_told_as_sent_and_duration_is_trusted() -> None:
    """Section 3, documented sample: the end is before the start, and the callback's own time before both."""
    call = the_cdr({**HANGUP, "startTime": "20170911145109", "duration": "65"}).call
    assert (call.answered_at, call.ended_at) == (at("2017-09-11", "06:51:09"), at("2017-04-22", "08:38:10"))
    assert call.talk_seconds == 65


def test_a_start_without_a_duration_is_nobodys_answer() -> None:
    """Section 3, documented sample: startTime stands there with duration 0, byeType 0, and even a recordUrl."""
    url = "http://xxx.xx/download/record1"
    cdr = the_cdr({**HANGUP, "startTime": "20170911145109", "recordUrl": url})
    assert (cdr.call.answered_at, cdr.call.talk_seconds) == (None, 0)
    assert cdr.call.codes == (Code(name="state_code", value="0", outcome="no_answer", text="normal"),)
    assert cdr.recordings == (Announced(url=url),)


@pytest.mark.parametrize(
    ("bye_type", "duration", "outcome", "text"),
    [
        ("0", "0", "no_answer", "normal"),
        ("0", "3", None, "normal"),
        ("1", "0", "unreachable", "A unreachable"),
        ("2", "0", "unreachable", "B unreachable"),
        ("3", "0", "busy", "A busy"),
        ("4", "0", "busy", "B busy"),
        ("5", "7200", None, "maximum duration reached"),
        ("6", "0", "failed", "server error"),
        ("7", "0", "failed", "network error"),
        ("255", "0", "unknown", "other"),
        ("8", "0", None, None),
        ("-1", "0", None, None),
        ("gone", "0", None, None),
    ],
)
def test_the_bye_type_says_how_it_ended(
    bye_type: str, duration: str, outcome: Outcome | None, text: str | None
) -> None:
    """Section 3, byeType; docs/contract.md section 1, Outcome, Jiuyun."""
    codes = the_cdr({**HANGUP, "byeType": bye_type, "duration": duration}).call.codes
    assert codes == (Code(name="state_code", value=bye_type, outcome=outcome, text=text),)


@pytest.mark.parametrize(("sent", "seconds"), [("65", 65), (" 65 ", 65), ("0", 0), ("00", 0), ("-3", 0)])
def test_talk_seconds_are_never_negative(sent: str, seconds: int) -> None:
    assert the_cdr({**HANGUP, "duration": sent}).call.talk_seconds == seconds


@pytest.mark.parametrize("absent", [None, "", " ", "null", " null "])
def test_what_is_empty_or_the_text_null_is_absent(absent: str | None) -> None:
    """Section 6.2; section 6.4: strip whitespace."""
    names = ("caller", "called", "startTime", "userData", "recordUrl", "byeType", "duration", "endTime", "type")
    cdr = the_cdr({**HANGUP, **dict.fromkeys(names, absent)})
    assert cdr.call == CallFields(product="axb", private_number=X)
    assert cdr.recordings == ()
    assert cdr.raw["userData"] == ("null" if absent is None else absent)


@pytest.mark.parametrize(
    ("sent", "number"), [("13800000001", A), ("075500000004", MASK), ("95588", "95588"), ("+8613800000001", A)]
)
def test_numbers_are_normalised(sent: str, number: str) -> None:
    assert the_cdr({**HANGUP, "caller": sent}).call.caller == number


def test_type_10_has_codes_and_times_of_its_upstream() -> None:
    """Section 4, row type 10 and the remark: byeType is the upstream's release cause, outside the table."""
    fields = {
        **OLDER, "type": "10", "telX": "17000000002", "startTimeA": "2024-03-05 14:07:12",
        "startTimeB": "2024-03-05 14:07:20", "endTime": "2024-03-05 14:08:25", "duration": "65", "userFlag": "1",
        "byeType": "2", "dateCreated": "20240305140826", "userData": None, "recordUrl": "",
    }  # fmt: skip
    cdr = the_cdr(fields)
    assert cdr.call == CallFields(
        product="axb", mode="AXB", caller=A, callee=B, private_number=X, talk_seconds=65,
        answered_at=at("2024-03-05", "06:07:20"), ended_at=at("2024-03-05", "06:08:25"),
        codes=(Code(name="state_code", value="2"),),
    )  # fmt: skip
    assert cdr.legs == (
        Leg(name="a", number=A, answered_at=at("2024-03-05", "06:07:12")),
        Leg(name="b", number=B, answered_at=at("2024-03-05", "06:07:20")),
    )
    assert the_cdr({**fields, "byeType": "0", "duration": "0"}).call.codes == (Code(name="state_code", value="0"),)


def test_a_leg_that_nobody_answered_has_no_answer() -> None:
    """Section 4: startTimeA/B = answer time of A / B; duration = B answer to end, so 0 means that B did not."""
    cdr = the_cdr({**OLDER, "type": "2", "startTimeA": "20240305140712", "startTimeB": None, "duration": "0"})
    assert cdr.legs == (
        Leg(name="a", number=A, answered_at=at("2024-03-05", "06:07:12")),
        Leg(name="b", number=B),
    )
    assert cdr.call.answered_at is None


@pytest.mark.parametrize("kind", ["8", "9"])
def test_sip_phones_have_one_start(kind: str) -> None:
    """Section 4, row 8,9: startTime instead of startTimeA/B."""
    cdr = the_cdr({**OLDER, "type": kind, "startTime": "20240305140720", "duration": "65"})
    assert (cdr.call.answered_at, cdr.call.mode, cdr.legs) == (at("2024-03-05", "06:07:20"), None, ())


def test_a_virtual_number_with_dtmf_names_no_app_and_no_bye_type() -> None:
    """Section 4, row (virtual number + DTMF)."""
    fields = {
        "action": "Hangup", "caller": "13800000001", "called": "13900000003", "dtmfNumber": "12",
        "dateCreated": "20240305140826", "startTime": "20240305140720", "endTime": "20240305140825",
        "duration": "65", "callId": CALL, "recordUrl": "http://rec.example.com/1.mp3",
    }  # fmt: skip
    one = parsed(xml(fields))
    assert (one.session_id, one.key) == (CALL, f"cdr|.{CALL}.Hangup")
    assert one.body == Cdr(
        record_id=f".{CALL}.Hangup",
        call=CallFields(
            product="axb", caller=A, callee=B, answered_at=at("2024-03-05", "06:07:20"),
            ended_at=at("2024-03-05", "06:08:25"), talk_seconds=65,
        ),
        recordings=(Announced(url="http://rec.example.com/1.mp3"),),
        raw=fields,
    )  # fmt: skip


INCOME = {
    "action": "IncomeHangup", "type": "2", "appId": "app", "caller": "13900000003", "called": "13800000001",
    "maskNumber": "075500000004", "dateCreated": "20240305140826", "startTime": "20240305140720",
    "endTime": "20240305140825", "duration": "65", "recordUrl": "", "byeType": "0",
}  # fmt: skip


def test_a_call_back_to_the_mask_number_is_known_by_its_parties_and_times() -> None:
    """Sections 4 (no callId) and 7: (appId, maskNumber, caller, called, startTime, endTime)."""
    one = parsed(xml(INCOME))
    assert isinstance(one.body, Cdr)
    assert one.body.call == CallFields(
        product="axb", caller=B, callee=A, private_number=MASK, answered_at=at("2024-03-05", "06:07:20"),
        ended_at=at("2024-03-05", "06:08:25"), talk_seconds=65,
        codes=(Code(name="state_code", value="0", text="normal"),),
    )  # fmt: skip
    assert parsed(xml({**INCOME, "dateCreated": "20240305150000", "byeType": "5"})).session_id == one.session_id
    assert "13900000003" not in one.key + one.session_id + one.body.record_id


@pytest.mark.parametrize("name", ["appId", "maskNumber", "caller", "called", "startTime", "endTime"])
def test_another_call_back_is_another_session(name: str) -> None:
    other = parsed(xml({**INCOME, name: "20240305140725"}))
    assert other.session_id != parsed(xml(INCOME)).session_id
    assert other.key != parsed(xml(INCOME)).key


@pytest.mark.parametrize(("flag", "leg"), [("0", "a"), ("1", "b"), ("7", None)])
def test_each_leg_has_an_invitation_of_its_own(flag: str, leg: str | None) -> None:
    """Section 4, row CallInvite: userFlag 0 = A leg, 1 = B leg; section 7: userFlag is part of the key."""
    fields = {**OLDER, "action": "CallInvite", "type": "7", "userFlag": flag, "dateCreated": "20240305140708"}
    event = the_event(fields)
    when = at("2024-03-05", "06:07:08")
    assert (event.type, event.leg, event.at) == ("outgoing", leg, when)
    assert event.call.started_at == when
    assert parsed(xml(fields)).key == f"event|app|{CALL}|CallInvite|{leg or ''}|2024-03-05T06:07:08+00:00"


def test_two_actions_of_one_call_have_two_keys() -> None:
    """Section 7; docs/design.md section 5: never the session id alone."""
    actions = ("CallInvite", "CallEstablish", "Hangup")
    facts = [parsed(xml({**OLDER, "action": action, "dateCreated": "20240305140708"})) for action in actions]
    assert {fact.session_id for fact in facts} == {CALL}
    assert len({fact.key for fact in facts}) == 3


def test_the_key_of_a_hangup_holds_no_time_and_tells_apps_apart() -> None:
    assert parsed(xml(HANGUP)).key == parsed(xml({**HANGUP, "endTime": "20170422163811", "byeType": "4"})).key
    assert parsed(xml(HANGUP)).key != parsed(xml({**HANGUP, "appId": "other"})).key


@pytest.mark.parametrize("mode", ["AX", "AXB", "X"])
def test_the_source_knows_the_mode_better(mode: str) -> None:
    """docs/contract.md section 1, mode."""
    assert the_cdr(HANGUP, mode=mode).call.mode == mode


def test_flat_and_wrapped_json_tell_what_the_xml_tells() -> None:
    """Section 3, JSON form [inferred]: accept both; numbers may be numbers or strings."""
    fields = {**HANGUP, "type": 22, "duration": 65, "byeType": 0, "caller": 13800000001, "endTime": 20170422163810}
    flat, wrapped = parsed(json.dumps(fields).encode()), parsed(json.dumps({"req": fields}).encode())
    assert flat == wrapped
    assert isinstance(flat.body, Cdr)
    as_xml = the_cdr({**HANGUP, "duration": "65", "caller": "13800000001"})
    assert (flat.body.call.caller, flat.body.call.ended_at) == (A, as_xml.call.ended_at)
    assert flat.body.call.talk_seconds == as_xml.call.talk_seconds == 65
    assert flat.body.raw == fields


def test_what_stands_beside_req_is_kept() -> None:
    body = parsed(json.dumps({"version": 1, "req": HANGUP}).encode()).body
    assert isinstance(body, Cdr)
    assert body.raw == {"version": 1, **HANGUP}


def test_an_id_that_json_carries_as_a_number_is_its_digits() -> None:
    one = parsed(json.dumps({**HANGUP, "callId": 9007199254740993, "appId": 7}).encode())
    assert (one.session_id, one.key) == ("9007199254740993", "cdr|7.9007199254740993.Hangup")


@pytest.mark.parametrize("start", [b"\xef\xbb\xbf", b" \r\n\t", b"\xef\xbb\xbf\n"])
@pytest.mark.parametrize("body", [xml(HANGUP), json.dumps(HANGUP).encode()])
def test_a_byte_order_mark_and_spaces_make_no_difference(start: bytes, body: bytes) -> None:
    assert parsed(start + body) == parsed(body)


def test_the_case_of_an_action_makes_no_difference_to_its_key() -> None:
    assert parsed(xml({**HANGUP, "action": "hangUp"})).key == parsed(xml(HANGUP)).key


@pytest.mark.parametrize("fields", [{"action": "SipPhoneHangup"}, {"action": None}, {}, {"type": "22"}])
def test_an_unknown_action_is_kept_raw(fields: dict[str, Any]) -> None:
    """Section 4: SipPhoneHangup occurs in a comment only."""
    one = parsed(json.dumps({"callId": CALL, **fields}).encode())
    assert (one.kind, one.session_id, one.body) == ("other", CALL, Other(raw={"callId": CALL, **fields}))
    assert one.key.startswith("other|")


def test_fields_that_nobody_has_seen_pass_under_raw() -> None:
    cdr = the_cdr({**HANGUP, "brandNew": "<deep><er>1</er></deep>"})
    assert cdr.raw == {**HANGUP, "brandNew": {"deep": {"er": "1"}}}


def test_a_call_event_without_a_time_is_kept() -> None:
    event = the_event({**OLDER, "action": "CallEstablish", "type": "1", "dateCreated": None})
    assert (event.at, event.call.answered_at, event.leg) == (None, None, "b")


def test_a_fraction_of_a_second_is_kept() -> None:
    when = the_cdr({**HANGUP, "endTime": "2024-03-05 14:08:25.0"}).call.ended_at
    assert when == datetime(2024, 3, 5, 6, 8, 25, tzinfo=UTC)
