"""A question of X mode is answered whatever else in it is odd: only what the answer needs may refuse it."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote

import pytest

from schemas.facts import CallEvent, Parsed
from schemas.platforms.aliyun import DIALECT
from schemas.platforms.aliyun.control import question
from schemas.platforms.aliyun.signature import rfc3986, verify, x_mode_signature
from schemas.question import Decision
from tests.unit.schemas.platforms.aliyun.test_control import a_push, a_source, asking, the_model


@pytest.mark.parametrize("call_id", [None, "", "c" * 257])
def test_a_question_that_names_no_call_is_answered_as_one_of_its_own(call_id: str | None) -> None:
    """Somebody waits, and nothing in the answer needs the call's id."""
    asked = question(asking(callId=call_id), a_source())
    assert asked is not None
    assert asked.session_id.startswith("asked:")
    assert asked == question(asking(callId=call_id), a_source())
    (told,) = DIALECT.parse(asking(callId=call_id), a_source())
    assert isinstance(told, Parsed)
    assert (told.session_id, told.key, told.fingerprint) == (asked.session_id, asked.key, asked.fingerprint)


@pytest.mark.parametrize(
    ("sent", "name", "told"),
    [
        ("extension=%FF", "extension", "\ufffd"),
        ("extension=%B5%EA%C6%CC", "extension", "\u5e97\u94fa"),
        ("extension=a%00b", "extension", "ab"),
        ("callTime=yesterday", "callTime", "yesterday"),
        ("callTime=2024-03-05++14:07:08", "callTime", "2024-03-05  14:07:08"),
    ],
)
def test_nothing_odd_in_a_question_keeps_its_caller_waiting(sent: str, name: str, told: str) -> None:
    push = a_push(f"callNo=13800000001&secretNo=17000000002&recordType=CAL&callId=c1&{sent}".encode())
    asked = question(push, a_source())
    assert asked is not None
    assert (asked.session_id, asked.caller, asked.number) == ("c1", "+8613800000001", "+8617000000002")
    (fact,) = DIALECT.parse(push, a_source())
    assert isinstance(fact, Parsed)
    assert isinstance(fact.body, CallEvent)
    assert fact.body.raw[name] == told
    decided = Decision(action="connect", callee="+8613900000003")
    assert the_model(push, decided)["controlOperate"] == "CONTINUE"


def test_bytes_that_are_no_text_are_signed_as_they_came() -> None:
    form = "callNo=13800000001&secretNo=%FF%00&recordType=CAL&callId=c1&timestamp=2024-03-05T06:07:08Z"
    params = dict(parse_qsl(form, errors="surrogateescape"))
    signature = x_mode_signature(params, "secret", "A", encode=rfc3986)
    source = a_source(control_secret="secret")
    now = datetime(2024, 3, 5, 6, 7, 8, tzinfo=UTC)
    assert verify(a_push(f"{form}&signature={quote(signature, safe='')}".encode()), source, now) is True
    assert verify(a_push(f"{form}&signature=%FF".encode()), source, now) is False
