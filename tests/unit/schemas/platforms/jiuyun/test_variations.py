"""Whatever Jiuyun may send in its own fields becomes a fact or a reason, and what a user wrote costs no duration."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import Malformed
from schemas.facts import Cdr, Parsed
from schemas.platforms.jiuyun import DIALECT
from schemas.platforms.jiuyun.settings import JiuyunSource
from tests.building.damage import LEAVES, SHORT_TEXTS, any_json
from tests.building.pushes import XML, a_push, fact_of, through_the_broker

SOURCE = JiuyunSource.model_validate({"name": "jiuyun", "platform": "jiuyun_axb", "tokens": ["token"]})
CALL = "a1b2c3d4e5f60718293a4b5c6d7e8f90"
HANGUP = {
    "action": "Hangup", "type": "2", "appId": "app", "called": "13900000003", "callId": CALL, "userData": "abc",
    "startTimeB": "20240305140720", "endTime": "20240305140825", "duration": "65", "byeType": "0",
    "recordUrl": "http://rec.example.com/1.mp3",
}  # fmt: skip


def xml(fields: dict[str, Any]) -> bytes:
    """As the sender makes it: joined, not escaped."""
    return f"<req>{''.join(f'<{name}>{value}</{name}>' for name, value in fields.items())}</req>".encode()


TEXTS = SHORT_TEXTS | st.sampled_from(
    ["null", "", "0", "22", "10", "65", "-1", "20240305140720", "2024-03-05 14:07:20", "a&b", "a<b", "#####", "&x;"]
)
ANY_JSON = any_json(LEAVES | TEXTS, TEXTS, fields=3, most=8)
ACTIONS = ["CallInvite", "CallEstablish", "Hangup", "IncomeHangup", "VoiceNotify", "VoiceCodeNotify", "New"]
NAMES = [
    "type", "appId", "callId", "requestId", "callSid", "telX", "maskNumber", "caller", "called", "to", "userFlag",
    "userData", "startTime", "startTimeA", "startTimeB", "endTime", "callTime", "dateCreated", "duration", "byeType",
    "recordUrl", "displayNum", "new",
]  # fmt: skip


@st.composite
def variations(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> dict[str, Any]:
    """A good notification of any action with some fields changed, added or gone."""
    ids = {"callId": CALL, "requestId": CALL, "callSid": CALL}
    body = {**HANGUP, **ids, "dateCreated": "20240305140720", "action": draw(st.sampled_from(ACTIONS))}
    for name in draw(st.lists(st.sampled_from(NAMES), max_size=4, unique=True)):
        if draw(st.booleans()):
            body[name] = draw(values)
        else:
            body.pop(name, None)
    return body


def every_result_survives_the_broker(body: bytes) -> None:
    try:
        results = DIALECT.parse(a_push(body, content_type=XML), SOURCE)
    except Malformed:
        return
    for item in results:
        if isinstance(item, Malformed):
            continue
        fact = fact_of(item, SOURCE, at=datetime(2024, 3, 5, tzinfo=UTC))
        assert through_the_broker(fact) == fact
        assert isinstance(item.body, Cdr) == (item.kind == "cdr")
        assert not isinstance(item.body, Cdr) or (item.body.call.talk_seconds or 0) >= 0


@given(body=variations(ANY_JSON), wrapped=st.booleans())
def test_any_variation_in_json_becomes_a_fact_or_a_reason(body: dict[str, Any], wrapped: bool) -> None:
    every_result_survives_the_broker(json.dumps({"req": body} if wrapped else body).encode())


@given(body=variations(TEXTS))
def test_any_variation_in_xml_becomes_a_fact_or_a_reason(body: dict[str, Any]) -> None:
    every_result_survives_the_broker(xml(body))


MARKUP = [
    "<", ">", "&", "&amp;", "&x;", "<b>", "</b>", "<b/>", "<!--", "-->", "<![CDATA[", "]]>", "<?", "?>",
    "<!DOCTYPE req>", "<req>", "</req>", "</userData>", "<userData>", "<duration>9</duration>", "<duration>",
    "</duration>", "\x01",
]  # fmt: skip


@given(user_data=st.lists(st.sampled_from(MARKUP) | st.text(st.characters(codec="utf-8"), max_size=3)).map("".join))
def test_whatever_a_user_writes_the_duration_is_right_or_the_record_quarantined(user_data: str) -> None:
    """docs/protocols/jiuyun-axb.md section 6.1: userData is joined without escaping."""
    try:
        (one,) = DIALECT.parse(a_push(xml({**HANGUP, "userData": user_data}), content_type=XML), SOURCE)
    except Malformed:
        return
    if isinstance(one, Malformed):
        return
    assert isinstance(one.body, Cdr)
    assert one.body.call.talk_seconds == 65
    assert one.body.call.answered_at == datetime(2024, 3, 5, 6, 7, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    "body",
    [b"<Request><action>Hangup</action><callSid a='1'>x</callSid><n/><n>2</n></Request>", b"<req/>", b'{"a":1}'],
)
def test_a_look_alike_is_set_aside(body: bytes) -> None:
    """docs/protocols/jiuyun-axb.md section 8, yuntongxun: root Request."""
    (found,) = DIALECT.parse(a_push(body), SOURCE)
    assert isinstance(found, Malformed)
    assert found.reason == "unknown_push"


@pytest.mark.parametrize(("fields", "session"), [({"callId": "c1"}, "c1"), ({}, "")])
def test_another_action_is_kept_raw_of_the_call_that_it_names(fields: dict[str, Any], session: str) -> None:
    (found,) = DIALECT.parse(a_push(xml({"action": "Transfer", **fields})), SOURCE)
    assert isinstance(found, Parsed)
    assert (found.kind, found.session_id) == ("other", session)
