"""A question is answered whatever else in it is odd: somebody waits, and only what the answer needs may refuse it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.errors import Malformed
from schemas.facts import Parsed
from schemas.platforms.huawei.privatenumber import DIALECT
from schemas.platforms.huawei.privatenumber.questions import answer, question
from schemas.question import Decision
from tests.building.pushes import a_push
from tests.unit.schemas.platforms.huawei.privatenumber.test_questions import a_source, asked

A_CALL = {"sessionId": "1", "caller": "13100000011", "called": "17000000010", "notifyMode": "Block"}
SMS_ASKED = {
    "smsIdentifier": "1",
    "calling": "13100000011",
    "virtualNumber": "17000000010",
    "notificationMode": "Block",
}
ODD = [
    {"timestamp": "?"}, {"timestamp": 1795152318}, {"timestamp": "1795152318000"}, {"timestamp": {}},
    {"timestamp": "2026-11-20  05:24:57"}, {"timestamp": "2026-11-20T13:24:57+08:00"}, {"id": None}, {"id": ""},
    {"id": 1.5}, {"id": 10**30}, {"id": "s" * 257}, {"id": ["1"]}, {"text": {}}, {"text": 7}, {"notifies": " block "},
]  # fmt: skip
CALL_NAMES = {"timestamp": "timestamp", "id": "sessionId", "text": "userData", "notifies": "notifyMode"}
SMS_NAMES = {"timestamp": "timeStamp", "id": "smsIdentifier", "text": "smsContent", "notifies": "notificationMode"}


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("kind", ["call", "sms"])
def test_nothing_odd_in_a_question_keeps_its_caller_waiting(kind: str, odd: dict[str, Any], listed: bool) -> None:
    """The case: nobody needs the time to decide."""
    ((name, value),) = odd.items()
    inner: Any = {**A_CALL, CALL_NAMES[name]: value} if kind == "call" else {**SMS_ASKED, SMS_NAMES[name]: value}
    inner = [inner] if listed else inner
    body = {"eventType": "callin", "statusInfo": inner} if kind == "call" else {"smsEvent": inner}
    found = asked(body)
    assert found is not None
    assert (found.kind, found.caller, found.number) == (kind, "+8613100000011", "+8617000000010")
    assert found.session_id == "1" or (name == "id" and found.session_id.startswith("asked:"))
    (fact,) = DIALECT.parse(a_push(body), a_source())
    assert isinstance(fact, Parsed)
    assert (fact.session_id, fact.key, fact.fingerprint) == (found.session_id, found.key, found.fingerprint)
    decided = Decision(action="connect" if kind == "call" else "route", callee="+8613200000012")
    told = json.loads(answer(a_push(body), decided, a_source()).body)
    assert told.get("operation") == "connect" or told["actions"][0]["operation"] == "vNumberRoute"


@pytest.mark.parametrize("bad", [rb"\ud83d", b"\xff", b"\x01", rb"a\u0000", "\u5e97".encode("gbk")])
def test_a_text_that_cannot_be_read_keeps_nobody_waiting(bad: bytes) -> None:
    body = json.dumps({"smsEvent": {**SMS_ASKED, "smsContent": "@@"}}).encode().replace(b"@@", bad)
    found = question(a_push(body), a_source())
    assert found is not None
    assert found.text
    body = json.dumps({"eventType": "callin", "statusInfo": {**A_CALL, "userData": "@@"}}).encode()
    assert question(a_push(body.replace(b"@@", bad)), a_source()) is not None


@pytest.mark.parametrize("odd", [{"timestamp": "?"}, {"id": 1.5}])
@pytest.mark.parametrize("kind", ["call", "sms"])
def test_a_push_that_nobody_waits_for_is_strict_still(kind: str, odd: dict[str, Any]) -> None:
    ((name, value),) = odd.items()
    call = {**A_CALL, "notifyMode": "Notify", CALL_NAMES[name]: value}
    sms = {**SMS_ASKED, "notificationMode": "Notify", SMS_NAMES[name]: value}
    body = {"eventType": "callin", "statusInfo": call} if kind == "call" else {"smsEvent": sms}
    (item,) = DIALECT.parse(a_push(body), a_source())
    assert isinstance(item, Malformed)
