"""What PrivateNumber asks and how it is answered; the published answers are compared as they stand.

Sections are those of docs/protocols/huawei-privatenumber.md.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.facts import Parsed
from schemas.notification import Reply
from schemas.platforms.huawei.privatenumber import DIALECT
from schemas.platforms.huawei.privatenumber.questions import answer, question
from schemas.platforms.huawei.privatenumber.settings import PrivateNumberSource
from schemas.question import QUESTION_BYTES, Asked, Decision
from tests.building.pushes import a_push
from tests.building.samples import SAMPLES_OF_ALL

SAMPLES = SAMPLES_OF_ALL / "huawei_privatenumber"
SESSION = "1200_1827_4294967295_20190124023003@callenabler246.huaweicaas.com"
SMS = "ASN:16:example0000000001"
A, B, X = "+8613800000021", "+8613866887021", "+8613800000022"

# Section 1: callin names the real caller and the X dialled; X mode only: notifyMode, and no subscriptionId.
CALL_IN = {
    "eventType": "callin",
    "statusInfo": {
        "sessionId": SESSION, "timestamp": "2019-01-24 02:30:03", "caller": A, "called": X, "notifyMode": "Block",
    },
}  # fmt: skip
SMS_IN = {
    "appKey": "k",
    "smsEvent": {
        "smsIdentifier": SMS, "notificationMode": "Block", "calling": A, "virtualNumber": X, "event": "TextSMS",
        "smsContent": "on my way", "timeStamp": "2020-12-23T09:06:16.450Z",
    },
}  # fmt: skip
CONNECT_TONES = {
    "waitVoice": "waitVoice001.wav",
    "recordHintTone": "recordHintTone001.wav",
    "lastMinVoice": "lastMinVoice001.wav",
}
CLOSE_TONES = {"closeHintTone": "closeHintTone001.wav"}
CONNECT = Decision(
    action="connect", callee=B, record=True, tones=CONNECT_TONES, max_minutes=60, user_data="userflag001"
)
CLOSE = Decision(action="close", tones=CLOSE_TONES, user_data="userflag001")
ROUTE = Decision(action="route", callee=B)
DISCARD = Decision(action="discard")


def a_source(**settings: Any) -> PrivateNumberSource:
    row = {"name": "huawei-x", "platform": "huawei_privatenumber", "tokens": ["token"], "control": True, **settings}
    return PrivateNumberSource.model_validate(row)


def asked(body: Any) -> Asked | None:
    return question(a_push(body), a_source())


def answered(body: Any, decision: Decision, **settings: Any) -> Any:
    reply = answer(a_push(body), decision, a_source(**settings))
    assert (reply.status, reply.content_type) == (200, "application/json")
    return json.loads(reply.body)


def connected(decision: Decision, **info: Any) -> Any:
    body = {**CALL_IN, "statusInfo": {**CALL_IN["statusInfo"], **info}}  # type: ignore[dict-item]
    return answered(body, decision)["connectInfo"]


def the_fact(body: Any) -> Parsed:
    (parsed,) = DIALECT.parse(a_push(body), a_source())
    assert isinstance(parsed, Parsed)
    return parsed


def test_a_callin_with_notify_mode_block_asks_where_to_connect() -> None:
    """Section 2: callin arrives with notifyMode Block."""
    fact = the_fact(CALL_IN)
    expected = Asked(kind="call", session_id=SESSION, key=fact.key, fingerprint=fact.fingerprint, caller=A, number=X)
    assert asked(CALL_IN) == expected
    assert fact.kind == "call_event"


def test_an_sms_with_notification_mode_block_asks_where_to_route() -> None:
    """Section 4: AX without a valid suffix, and X always."""
    fact = the_fact(SMS_IN)
    assert asked(SMS_IN) == Asked(
        kind="sms", session_id=SMS, key=fact.key, fingerprint=fact.fingerprint, caller=A, number=X, text="on my way"
    )
    assert fact.kind == "sms"


def test_the_published_sms_asks() -> None:
    question = asked((SAMPLES / "ax-sms-block.json").read_bytes())
    assert question is not None
    assert (question.kind, question.session_id, question.text) == ("sms", SMS, None)


def test_no_other_sample_asks() -> None:
    """x-fee.json, a CDR that says notifyMode Block, among them."""
    asking = {path.name for path in SAMPLES.glob("*.json") if asked(path.read_bytes()) is not None}
    assert b'"Block"' in (SAMPLES / "x-fee.json").read_bytes()
    assert asking == {"ax-sms-block.json"}


def test_the_demos_compare_modes_and_types_ignoring_case() -> None:
    body = {"eventType": "CallIn", "statusInfo": {"sessionId": SESSION, "notifyMode": "block"}}
    question = asked(body)
    assert question is not None
    assert (question.caller, question.number) == (None, None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"Block",
        b'{"notifyMode": "Block"',
        b'["Block"]',
        b'{"a":' * 40 + b'"Block"' + b"}" * 40,
        {"eventType": "Block"},
        {"eventType": "callin", "statusInfo": "Block"},
        {"eventType": "callin", "notifyMode": "Block", "statusInfo": {"sessionId": "1"}},
        {"eventType": "callin", "statusInfo": {"sessionId": "1", "notifyMode": "Notify", "userData": "Block"}},
        {"eventType": "callin", "statusInfo": {"sessionId": "1", "notifyMode": ["Block"]}},
        {"eventType": "callout", "statusInfo": {"sessionId": "1", "notifyMode": "Block"}},
        {"eventType": "fee", "smsEvent": SMS_IN["smsEvent"]},
        {"smsEvent": "Block"},
        {"smsEvent": {"smsIdentifier": "1", "notificationMode": "Notify", "smsContent": "Block"}},
        {"statusInfo": {"notifyMode": "Block"}},
    ],
)
def test_what_does_not_wait_or_cannot_be_read_asks_nothing(body: Any) -> None:
    assert asked(body) is None


@pytest.mark.parametrize("shape", ["object", "array"])
@pytest.mark.parametrize(("operation", "decision"), [("connect", CONNECT), ("close", CLOSE)])
def test_a_call_is_answered_as_published(shape: str, operation: str, decision: Decision) -> None:
    """Section 2: an object in the table, a one-element array in the official demo."""
    suffix = "-array" if shape == "array" else ""
    published = json.loads((SAMPLES / f"x-event-callin-block-response-{operation}{suffix}.json").read_bytes())
    assert answered(CALL_IN, decision, answer_shape=shape) == published


@pytest.mark.parametrize("mode", ["ax", "x"])
@pytest.mark.parametrize(("name", "decision"), [("route", ROUTE), ("discard", DISCARD)])
def test_an_sms_is_answered_as_published(mode: str, name: str, decision: Decision) -> None:
    """Section 4, Block reply: calling is the same as in the request; the array shape is of calls only."""
    published = json.loads((SAMPLES / f"{mode}-sms-block-response-{name}.json").read_bytes())
    assert answered(SMS_IN, decision, mode=mode.upper(), answer_shape="array") == published


def test_what_was_not_decided_is_not_sent() -> None:
    """Section 2: each parameter but calleeNum has a default; X is shown, or the carrier blocks the call."""
    assert answered(CALL_IN, Decision(action="connect", callee=B)) == {
        "operation": "connect",
        "connectInfo": {"displayCalleeNum": X, "calleeNum": B},
    }
    assert answered(CALL_IN, Decision(action="close")) == {"operation": "close", "closeInfo": {}}
    assert answered(CALL_IN, Decision(action="close"), answer_shape="array")["closeInfo"] == [{}]


@pytest.mark.parametrize(("record", "flag"), [(True, "true"), (False, "false")])
def test_the_record_flag_is_a_string(record: bool, flag: str) -> None:
    """Section 7, last line."""
    assert connected(Decision(action="connect", callee=B, record=record))["recordFlag"] == flag


@pytest.mark.parametrize("minutes", [0, 1, 1440])
def test_the_longest_call_is_given_in_minutes(minutes: int) -> None:
    """Section 2: Integer 0-1440, 0 = unlimited."""
    assert connected(Decision(action="connect", callee=B, max_minutes=minutes))["maxDuration"] == minutes


@pytest.mark.parametrize("callee", ["13866887021", B])
def test_the_callee_goes_out_in_the_global_format(callee: str) -> None:
    """Section 0, numbers."""
    assert connected(Decision(action="connect", callee=callee))["calleeNum"] == B
    (action,) = answered(SMS_IN, Decision(action="route", callee=callee))["actions"]
    assert action["message"] == {"called": B, "calling": A}


def test_without_a_dialled_number_the_platform_shows_its_own() -> None:
    """Section 2, displayCalleeNum: default = X of this call."""
    assert connected(Decision(action="connect", callee=B), called="") == {"calleeNum": B}


@pytest.mark.parametrize(
    "decision",
    [
        DISCARD,
        ROUTE,
        Decision(action="connect"),
        Decision(action="connect", callee=""),
        Decision(action="connect", callee="110"),
        Decision(action="connect", callee="1" * 32),
    ],
)
def test_a_decision_that_does_not_fit_closes_the_call(decision: Decision) -> None:
    """Section 2: calleeNum String(4-31)."""
    assert answered(CALL_IN, decision) == {"operation": "close", "closeInfo": {}}


@pytest.mark.parametrize(
    "decision",
    [CONNECT.model_copy(update={"user_data": None}), Decision(action="close"), Decision(action="route"),
     Decision(action="route", callee=""), Decision(action="route", callee=None)],
)  # fmt: skip
def test_a_decision_that_does_not_fit_discards_the_sms(decision: Decision) -> None:
    """Section 4: message only with vNumberRoute; called String(1-64)."""
    assert answered(SMS_IN, decision) == {"actions": [{"operation": "DiscardMessage"}]}


def test_an_sms_without_a_sender_cannot_be_routed() -> None:
    body = {"smsEvent": {"smsIdentifier": SMS, "notificationMode": "Block"}}
    assert answered(body, ROUTE) == {"actions": [{"operation": "DiscardMessage"}]}


def test_tones_go_where_the_operation_knows_them() -> None:
    """Section 2: names of ApiConnectInfo and ApiCloseInfo; a tone never replaces another field."""
    tones = {**CONNECT_TONES, **CLOSE_TONES, "calleeNum": A, "preVoice": "x.wav"}
    assert connected(Decision(action="connect", callee=B, tones=tones)) == {
        "displayCalleeNum": X, "calleeNum": B, **CONNECT_TONES,
    }  # fmt: skip
    assert answered(CALL_IN, Decision(action="close", tones=tones))["closeInfo"] == CLOSE_TONES


def test_what_the_platform_would_refuse_is_left_out() -> None:
    """Section 2: tones String(0-128); section 0, userData: no braces, and no Chinese unless Base64."""
    tones = {"waitVoice": "w" * 129, "lastMinVoice": "", "recordHintTone": "r" * 128}
    for refused in ("{x}", "x}", "用户", ""):
        info = connected(Decision(action="connect", callee=B, tones=tones, user_data=refused))
        assert info == {"displayCalleeNum": X, "calleeNum": B, "recordHintTone": "r" * 128}


@pytest.mark.parametrize(("mode", "told"), [("AX", {"userData": "u1"}), ("X", {}), (None, {})])
def test_user_data_of_an_sms_is_for_ax_only(mode: str | None, told: dict[str, str]) -> None:
    """Section 4, Block reply: userData (AX only, since 2022-05)."""
    for decision, operation in ((ROUTE, "vNumberRoute"), (DISCARD, "DiscardMessage")):
        (action,) = answered(SMS_IN, decision.model_copy(update={"user_data": "u1"}), mode=mode)["actions"]
        assert {name: action[name] for name in action if name != "message"} == {"operation": operation, **told}


@pytest.mark.parametrize("body", [b"", {"eventType": "fee", "feeLst": [{}]}, {"a": 1}])
def test_what_never_asked_is_answered_with_nothing(body: Any) -> None:
    assert answer(a_push(body), CLOSE, a_source()) == Reply()


def test_what_is_larger_than_any_question_is_none() -> None:
    """`{},` by the hundred thousand cost a fifth of a second before anything was judged."""
    assert asked(CALL_IN) is not None
    assert asked({**CALL_IN, "pad": "x" * QUESTION_BYTES}) is None
