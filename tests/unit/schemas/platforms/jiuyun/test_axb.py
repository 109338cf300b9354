"""Every Jiuyun sample, against expectations written by hand and never printed by the parser.

Sections are those of docs/protocols/jiuyun-axb.md.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

import pytest

from schemas.facts import Announced, CallEvent, CallFields, Cdr, Code, Leg, Parsed
from schemas.notification import Notification
from schemas.platforms.jiuyun import DIALECT
from schemas.platforms.jiuyun.settings import JiuyunSource
from tests.building.samples import SAMPLES_OF_ALL

SAMPLES = SAMPLES_OF_ALL / "jiuyun_axb"

APP = "0123456789abcdef0123456789abcdef"
CALL = "a1b2c3d4e5f60718293a4b5c6d7e8f90"
UNANSWERED = "a1b2c3d4e5f60718293a4b5c6d7e8f91"
WRAPPED = "a1b2c3d4e5f60718293a4b5c6d7e8f93"
OLDER = "420d9ec4557f4eeabfb0000000000001"
# docs/contract.md section 1, Numbers: ^1\d{10}$ becomes +86..., ^0[1-9]\d{8,10}$ becomes +86 without the 0.
A, B, X, MASK = "+8613800000001", "+8613900000003", "+8617000000002", "+8675500000004"
# Section 3, byeType 0 normal; docs/contract.md section 1: 0 decides only with duration 0.
NORMAL = (Code(name="state_code", value="0", text="normal"),)


def a_source(**settings: Any) -> JiuyunSource:
    row = {"name": "jiuyun", "platform": "jiuyun_axb", "tokens": ["token"], **settings}
    return JiuyunSource.model_validate(row)


def a_push(body: bytes, content_type: str = "application/xml;charset=utf-8") -> Notification:
    return Notification(path="", remote="192.0.2.1", content_type=content_type, body=body)


def at(clock: str) -> datetime:
    """Section 5: yyyyMMddHHmmss without a zone is Beijing, UTC+8; so 14:07:20 there is 06:07:20 here."""
    return datetime.fromisoformat(f"2024-03-05T{clock}+00:00")


def fingerprint(raw: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(raw, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def a_cdr(session: str, action: str, body: dict[str, Any], raw: dict[str, Any]) -> Parsed:
    """Section 7: the key is (appId, callId, action); docs/design.md section 5: whole, so nothing is implied."""
    return Parsed(
        kind="cdr",
        session_id=session,
        key=f"cdr|{APP}.{session}.{action}",
        fingerprint=fingerprint(raw),
        body=Cdr(record_id=f"{APP}.{session}.{action}", raw=raw, implies=(), **body),
    )


def an_event(action: str, key: str, body: dict[str, Any], raw: dict[str, Any]) -> Parsed:
    """Section 7: (appId, callId, action, userFlag for CallInvite); docs/design.md section 5 adds the time."""
    return Parsed(
        kind="call_event",
        session_id=OLDER,
        key=f"event|{APP}|{OLDER}|{action}|{key}",
        fingerprint=fingerprint(raw),
        body=CallEvent(platform_type=action, raw=raw, **body),
    )


def hangup_answered() -> Parsed:
    """Section 3: type 22, telX is X, startTime to endTime is the 65 s of duration, recordUrl is a URL."""
    return a_cdr(
        CALL,
        "Hangup",
        {
            "call": CallFields(
                product="axb", mode="AXB", caller=A, callee=B, private_number=X, answered_at=at("06:07:20"),
                ended_at=at("06:08:25"), talk_seconds=65, codes=NORMAL,
            ),
            "recordings": (Announced(url="http://rec.example.com/download/a1b2c3d4.mp3"),),
        },
        {
            "action": "Hangup", "type": "22", "appId": APP, "callId": CALL, "telX": "17000000002",
            "caller": "13800000001", "called": "13900000003", "startTime": "20240305140720",
            "endTime": "20240305140825", "duration": "65", "byeType": "0", "dateCreated": "20240305140826",
            "recordUrl": "http://rec.example.com/download/a1b2c3d4.mp3",
        },
    )  # fmt: skip


def hangup_unanswered() -> Parsed:
    """Section 3: caller, called and startTime are optional; byeType 2 = B unreachable; recordUrl empty = none."""
    return a_cdr(
        UNANSWERED,
        "Hangup",
        {
            "call": CallFields(
                product="axb", mode="AXB", private_number=X, ended_at=at("07:00:35"), talk_seconds=0,
                codes=(Code(name="state_code", value="2", outcome="unreachable", text="B unreachable"),),
            )
        },
        {
            "action": "Hangup", "type": "22", "appId": APP, "callId": UNANSWERED, "telX": "17000000002",
            "endTime": "20240305150035", "duration": "0", "byeType": "2", "dateCreated": "20240305150036",
            "recordUrl": "",
        },
    )  # fmt: skip


def hangup_wrapped() -> Parsed:
    """Section 3, JSON form [inferred]: wrapped in req; numbers may be numbers."""
    return a_cdr(
        WRAPPED,
        "Hangup",
        {
            "call": CallFields(
                product="axb", mode="AXB", caller=A, callee=B, private_number=X, answered_at=at("06:07:20"),
                ended_at=at("06:08:25"), talk_seconds=65, codes=NORMAL,
            )
        },
        {
            "action": "Hangup", "type": 22, "appId": APP, "callId": WRAPPED, "telX": "17000000002",
            "caller": "13800000001", "called": "13900000003", "startTime": "20240305140720",
            "endTime": "20240305140825", "duration": "65", "byeType": "0", "dateCreated": "20240305140826",
            "recordUrl": "",
        },
    )  # fmt: skip


def hangup_type_1() -> Parsed:
    """Section 4, row 1,7: startTimeA/B = answer time of A / B; section 6.2: the text null is absent."""
    return a_cdr(
        OLDER,
        "Hangup",
        {
            "call": CallFields(
                product="axb", caller=A, callee=B, answered_at=at("06:07:20"), ended_at=at("06:08:25"),
                talk_seconds=65, codes=NORMAL,
            ),
            "legs": (
                Leg(name="a", number=A, answered_at=at("06:07:12")),
                Leg(name="b", number=B, answered_at=at("06:07:20")),
            ),
        },
        {
            "action": "Hangup", "type": "1", "appId": APP, "caller": "13800000001", "called": "13900000003",
            "subType": "1", "callId": OLDER, "dateCreated": "20240305140826", "userFlag": "0",
            "startTimeA": "20240305140712", "startTimeB": "20240305140720", "userData": "null",
            "endTime": "20240305140825", "duration": "65", "recordUrl": "null", "byeType": "0",
        },
    )  # fmt: skip


def hangup_type_2() -> Parsed:
    """Section 4, row Hangup 2: maskNumber is the number between the parties, userData is echoed."""
    return a_cdr(
        OLDER,
        "Hangup",
        {
            "call": CallFields(
                product="axb", caller=A, callee=B, private_number=MASK, user_data="abcdef",
                answered_at=at("06:07:20"), ended_at=at("06:08:25"), talk_seconds=65, codes=NORMAL,
            ),
            "legs": (
                Leg(name="a", number=A, answered_at=at("06:07:12")),
                Leg(name="b", number=B, answered_at=at("06:07:20")),
            ),
        },
        {
            "action": "Hangup", "type": "2", "appId": APP, "caller": "13800000001", "called": "13900000003",
            "maskNumber": "075500000004", "callId": OLDER, "dateCreated": "20240305140826", "userData": "abcdef",
            "startTimeA": "20240305140712", "startTimeB": "20240305140720", "endTime": "20240305140825",
            "duration": "65", "recordUrl": "", "byeType": "0",
        },
    )  # fmt: skip


def call_invite() -> Parsed:
    """Section 4, row CallInvite: userFlag 0 = A leg, the first to be called, so the call started then."""
    return an_event(
        "CallInvite",
        "a|2024-03-05T06:07:08+00:00",
        {
            "type": "outgoing", "at": at("06:07:08"), "leg": "a", "caller": A, "callee": B,
            "call": CallFields(
                product="axb", caller=A, callee=B, private_number=MASK, user_data="abcdef",
                started_at=at("06:07:08"),
            ),
        },
        {
            "action": "CallInvite", "type": "2", "appId": APP, "caller": "13800000001", "called": "13900000003",
            "maskNumber": "075500000004", "userFlag": "0", "callId": OLDER, "dateCreated": "20240305140708",
            "userData": "abcdef",
        },
    )  # fmt: skip


def call_establish() -> Parsed:
    """Section 4, row CallEstablish: B answered; section 6.1: userData {"test":"test"} is sent raw."""
    return an_event(
        "CallEstablish",
        "b|2024-03-05T06:07:20+00:00",
        {
            "type": "answered", "at": at("06:07:20"), "leg": "b", "caller": A, "callee": B,
            "call": CallFields(
                product="axb", caller=A, callee=B, private_number=MASK, user_data='{"test":"test"}',
                answered_at=at("06:07:20"),
            ),
        },
        {
            "action": "CallEstablish", "type": "2", "appId": APP, "caller": "13800000001",
            "called": "13900000003", "maskNumber": "075500000004", "callId": OLDER,
            "dateCreated": "20240305140720", "userData": '{"test":"test"}',
        },
    )  # fmt: skip


def voice_notify() -> Parsed:
    """Section 4, row VoiceNotify: requestId is the call id; docs/contract.md section 1: caller null, callee called.

    There is no duration, so byeType 0 says neither answered nor not.
    """
    return a_cdr(
        OLDER,
        "VoiceNotify",
        {"call": CallFields(product="axb", callee=B, display_number=MASK, started_at=at("06:07:08"), codes=NORMAL)},
        {
            "action": "VoiceNotify", "appId": APP, "dtmfFlag": "1", "dtmfNum": "1", "orderFlag": "0",
            "orderTime": "null", "callTime": "20240305140708", "requestId": OLDER, "to": "13900000003",
            "byeType": "0", "displayNum": "075500000004",
        },
    )  # fmt: skip


def voice_code_notify() -> Parsed:
    """Section 4, row VoiceCodeNotify: callSid is the call id."""
    return a_cdr(
        OLDER,
        "VoiceCodeNotify",
        {"call": CallFields(product="axb", callee=B, display_number=MASK, started_at=at("06:07:08"), codes=NORMAL)},
        {
            "action": "VoiceCodeNotify", "appId": APP, "callSid": OLDER, "voiceRecId": "rec001",
            "verifyCode": "482913", "to": "13900000003", "displayNum": "075500000004",
            "callTime": "20240305140708", "byeType": "0",
        },
    )  # fmt: skip


GOLDEN = {
    "axb_hangup.xml": hangup_answered(),
    "axb_hangup_unanswered.xml": hangup_unanswered(),
    "axb_hangup_wrapped.INFERRED.json": hangup_wrapped(),
    "type1_hangup.xml": hangup_type_1(),
    "type2_hangup.xml": hangup_type_2(),
    "type2_call_invite.xml": call_invite(),
    "type2_call_establish.xml": call_establish(),
    "voice_notify.xml": voice_notify(),
    "voice_code_notify.xml": voice_code_notify(),
}


@pytest.mark.parametrize("sample", GOLDEN)
def test_a_sample_is_read_as_its_page_says(sample: str) -> None:
    assert DIALECT.parse(a_push((SAMPLES / sample).read_bytes()), a_source()) == [GOLDEN[sample]]


def test_every_sample_of_a_notification_has_its_expectation() -> None:
    assert {*GOLDEN, "ack.xml"} == {path.name for path in SAMPLES.iterdir()}
