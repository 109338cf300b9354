"""Pushes that nobody has seen, drawn from the page's own field names: a fact or a reason each, and nothing lost.

Also the questions among them, and answers to any decision.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.dialect.fields import listed
from schemas.errors import Malformed
from schemas.facts import CallEvent, Cdr, NumberState, Parsed, Sms
from schemas.platforms.huawei.privatenumber import DIALECT
from schemas.platforms.huawei.privatenumber.questions import answer, question
from schemas.platforms.huawei.privatenumber.settings import PrivateNumberSource
from schemas.question import Decision
from tests.building.pushes import a_push

REASONS = {"no_status_info", "no_session_id", "no_sms_event", "no_sms_identifier", "numeric_id", "long_id", "bad_time"}

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
ODD: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | TEXT | st.lists(TEXT, max_size=2) | st.just({})
)
IDS = st.text("0123456789abcdef-_@.", min_size=1, max_size=64) | st.integers(0, 2**63)
TIMES = st.sampled_from(["2019-01-24 02:30:03", "2020-12-23T09:06:16.450Z", "", None]) | st.datetimes().map(
    lambda at: at.strftime("%Y-%m-%d %H:%M:%S") if at.year >= 1000 else ""
)
NUMBERS = st.sampled_from(["+8613800000021", "13866887021", "01085550000", "", "anonymous", 13800000022]) | ODD
CODES = st.sampled_from([0, 16, 17, 480, 7501, 8014, 8102, 8999, "8104", ""]) | ODD
MODES = st.sampled_from(["Block", "Notify", "block", " Block", "New", "", None]) | ODD
EVENT_TYPES = st.sampled_from(["callin", "callout", "alerting", "answer", "disconnect", "collectInfo", "CallIn"])


def rows(required: dict[str, st.SearchStrategy[Any]], **optional: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Rows with these fields, each optional one there or not, and at times one that is new."""
    known = st.fixed_dictionaries(required, optional=optional)
    return st.builds(lambda row, new: {**new, **row}, known, st.dictionaries(st.just("newField"), ODD, max_size=1))


CALL_EVENTS = st.fixed_dictionaries({
    "eventType": EVENT_TYPES,
    "statusInfo": rows(
        {"sessionId": IDS}, timestamp=TIMES, caller=NUMBERS, called=NUMBERS, subscriptionId=ODD, userData=ODD,
        notifyMode=MODES, digitInfo=ODD, stateCode=CODES, stateDesc=ODD, origCalleeNum=NUMBERS,
        displayCallerNum=NUMBERS,
    ),
})  # fmt: skip
CDRS = st.fixed_dictionaries({
    "eventType": st.just("fee"),
    "feeLst": st.lists(
        rows(
            {"sessionId": IDS}, icid=IDS, direction=CODES, spId=ODD, appKey=ODD, bindNum=NUMBERS, subscriptionId=ODD,
            callerNum=NUMBERS, calleeNum=NUMBERS, fwdDisplayNum=NUMBERS, fwdDstNum=NUMBERS, callInTime=TIMES,
            fwdStartTime=TIMES, fwdAlertingTime=TIMES, fwdAnswerTime=TIMES, callEndTime=TIMES, failTime=ODD,
            fwdUnaswRsn=CODES, ulFailReason=CODES, sipStatusCode=CODES, callOutUnaswRsn=CODES,
            recordFlag=st.sampled_from([0, 1, "1"]) | ODD, recordObjectName=ODD, recordDomain=ODD,
            recordFileDownloadUrl=ODD, serviceType=st.sampled_from(["003", "004", "005", "007", "006", 4]) | ODD,
            notifyMode=MODES, extendNumber=ODD, extendNum=ODD, userData=ODD,
        ),
        min_size=1, max_size=4,
    ),
})  # fmt: skip
EXTRAS = st.lists(
    st.fixed_dictionaries({"key": st.sampled_from(["splitNum", "direction"]) | ODD, "value": CODES}) | ODD
)
SMS = st.fixed_dictionaries({
    "appKey": ODD,
    "smsEvent": rows(
        {"smsIdentifier": IDS}, notificationMode=MODES, calling=NUMBERS, called=NUMBERS, virtualNumber=NUMBERS,
        event=ODD, timeStamp=TIMES, subscriptionId=ODD, smsContent=ODD, sendResult=CODES,
        extInfo=st.fixed_dictionaries({"extParas": EXTRAS | ODD}) | ODD,
    ),
})  # fmt: skip
STATE = st.fixed_dictionaries(
    {"number": TEXT.filter(bool) | st.integers(0, 2**63)}, optional={"status": ODD, "cause": ODD}
)
NUMBER_STATES = st.fixed_dictionaries(
    {"eventType": st.just("numStatus"), "numInfo": STATE | STATE.map(lambda one: [one])}, optional={"appKey": ODD}
)

DECISIONS = st.builds(
    Decision,
    action=st.sampled_from(["connect", "close", "route", "discard"]),
    callee=st.none() | TEXT | st.sampled_from(["13866887021", "+8613866887021"]),
    record=st.none() | st.booleans(),
    tones=st.none() | st.dictionaries(st.sampled_from(["waitVoice", "closeHintTone", "calleeNum"]), TEXT),
    max_minutes=st.none() | st.integers(0, 1440),
    user_data=st.none() | TEXT,
)


def a_source(**settings: Any) -> PrivateNumberSource:
    row = {"name": "huawei-bj", "platform": "huawei_privatenumber", "tokens": ["token"], **settings}
    return PrivateNumberSource.model_validate(row)


def parsed(body: Any) -> list[Parsed | Malformed]:
    return list(DIALECT.parse(a_push(body), a_source()))


@given(body=CALL_EVENTS)
def test_a_call_event_loses_nothing(body: Any) -> None:
    (item,) = parsed(body)
    assert isinstance(item, Parsed)
    assert isinstance(item.body, CallEvent)
    assert item.session_id == str(body["statusInfo"]["sessionId"])
    assert as_read(item.body.raw) == as_read(body)


@given(body=CDRS)
def test_a_push_of_cdrs_has_one_fact_for_each(body: Any) -> None:
    items = parsed(body)
    assert len(items) == len(body["feeLst"])
    for item, record in zip(items, body["feeLst"], strict=True):
        assert isinstance(item, Parsed)
        assert isinstance(item.body, Cdr)
        assert as_read(item.body.raw) == as_read(record)


@given(body=SMS)
def test_an_sms_loses_nothing(body: Any) -> None:
    (item,) = parsed(body)
    assert isinstance(item, Parsed)
    assert isinstance(item.body, Sms)
    assert item.session_id == str(body["smsEvent"]["smsIdentifier"])
    assert as_read(item.body.raw) == as_read(body)


@given(body=NUMBER_STATES)
def test_a_number_state_loses_nothing(body: Any) -> None:
    (item,) = parsed(body)
    assert isinstance(item, Parsed)
    assert isinstance(item.body, NumberState)
    assert as_read(item.body.raw) == as_read({**body, "numInfo": listed(body["numInfo"])})


@given(body=CALL_EVENTS | CDRS | SMS, data=st.data())
def test_one_wrong_field_gives_a_fact_or_a_known_reason(body: Any, data: st.DataObject) -> None:
    inner = next((body[name] for name in ("statusInfo", "smsEvent") if name in body), None)
    row = data.draw(st.sampled_from(body["feeLst"])) if inner is None else inner
    row[data.draw(st.sampled_from(sorted(row)))] = data.draw(ODD | st.floats(allow_nan=False, allow_infinity=False))
    for item in parsed(body):
        assert isinstance(item, Parsed) or item.reason in REASONS


@given(body=CALL_EVENTS | CDRS | SMS | NUMBER_STATES)
def test_a_question_is_asked_of_a_fact_that_the_same_push_tells(body: Any) -> None:
    asked = question(a_push(body), a_source())
    facts = [item for item in parsed(body) if isinstance(item, Parsed) and waits(item)]
    told = [(fact.session_id, fact.key, fact.fingerprint) for fact in facts]
    assert told == ([] if asked is None else [(asked.session_id, asked.key, asked.fingerprint)])


@pytest.mark.parametrize("shape", ["object", "array"])
@given(body=CALL_EVENTS, decision=DECISIONS)
def test_any_decision_on_a_call_is_answered_in_the_documented_shape(shape: str, body: Any, decision: Decision) -> None:
    reply = json.loads(answer(a_push(body), decision, a_source(answer_shape=shape)).body)
    assert reply["operation"] in {"connect", "close"}
    assert set(reply) == {"operation", f"{reply['operation']}Info"}
    info = reply[f"{reply['operation']}Info"]
    row = info if shape == "object" else info[0]
    assert ("calleeNum" in row) == (reply["operation"] == "connect")
    if decision.action != "connect":
        assert reply["operation"] == "close"


@given(body=SMS, decision=DECISIONS)
def test_any_decision_on_an_sms_is_answered_in_the_documented_shape(body: Any, decision: Decision) -> None:
    (action,) = json.loads(answer(a_push(body), decision, a_source(mode="AX")).body)["actions"]
    assert action["operation"] in {"vNumberRoute", "DiscardMessage"}
    assert ("message" in action) == (action["operation"] == "vNumberRoute")
    if decision.action != "route":
        assert action["operation"] == "DiscardMessage"


def waits(item: Parsed) -> bool:
    """By the facts alone: what the page says waits for an answer."""
    match item.body:
        case Sms(mode="block"):
            return True
        case CallEvent(type="incoming", raw=raw):
            return str(raw["statusInfo"].get("notifyMode")).strip().lower() == "block"
        case _:
            return False


def as_read(value: Any) -> Any:
    """As a JSON reader keeps it: an integer beyond 64 bits is a float."""
    if isinstance(value, dict):
        return {name: as_read(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [as_read(inner) for inner in value]
    wide = isinstance(value, int) and not -(2**63) <= value < 2**64
    return float(value) if wide else value
