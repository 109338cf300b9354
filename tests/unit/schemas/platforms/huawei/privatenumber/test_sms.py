"""Every published SMS push of PrivateNumber, against expectations written by hand and never printed by the parser.

Sections are those of docs/protocols/huawei-privatenumber.md, tables of docs/protocols/huawei-reason-codes.md.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from schemas.errors import Malformed
from schemas.facts import Code, Parsed, Sms
from schemas.platforms.huawei.privatenumber import DIALECT
from schemas.platforms.huawei.privatenumber.settings import PrivateNumberSource
from tests.building.pushes import a_push
from tests.building.samples import SAMPLES_OF_ALL

SAMPLES = SAMPLES_OF_ALL / "huawei_privatenumber"
SOURCE = PrivateNumberSource.model_validate(
    {"name": "huawei-bj", "platform": "huawei_privatenumber", "tokens": ["token"]}
)

SMS = "ASN:16:example0000000001"
A, B, X = "+8613800000021", "+8613866887021", "+8613800000022"

# Section 4: calling is the real sender, called the real receiver (absent here), virtualNumber X, timeStamp UTC.
# Table F, sendResult 2: no binding. extParas: splitNum 0 parts were sent; direction 2 is abnormal.
NOT_BOUND: dict[str, Any] = {
    "identifier": SMS,
    "mode": "notify",
    "direction": "abnormal",
    "sender": A,
    "private_number": X,
    "parts": 0,
    "sent_at": datetime(2020, 12, 23, 9, 6, 16, 450_000, tzinfo=UTC),
    "status": "failed",
    "code": Code(name="send_result", value=2, text="no binding"),
}
# Section 4, AX: direction 1 is A to others. It waits for our answer, so its sendResult 0 cannot mean that it was sent.
WAITING: dict[str, Any] = {
    "identifier": SMS,
    "mode": "block",
    "direction": "a_to_b",
    "sender": A,
    "private_number": X,
    "parts": 2,
    "sent_at": datetime(2018, 9, 13, 9, 46, 16, 23_000, tzinfo=UTC),
    "status": None,
    "code": Code(name="send_result", value=0, text="sent"),
}
GOLDEN = [
    ("ax-sms-block.json", WAITING),
    ("ax-sms-notify.json", NOT_BOUND),  # event "Text SMS "
    ("axb-sms-notify.json", NOT_BOUND),  # event "Text SMS "
    ("x-sms-notify.json", NOT_BOUND),  # event "TextSMS"
]


def an_sms(**fields: Any) -> dict[str, Any]:
    return {"appKey": "k", "smsEvent": {"smsIdentifier": SMS, "notificationMode": "Notify", **fields}}


def with_extra(extra: Any) -> dict[str, Any]:
    return an_sms(extInfo={"extParas": extra})


def the_only_one(body: Any) -> Parsed:
    (parsed,) = DIALECT.parse(a_push(body), SOURCE)
    assert isinstance(parsed, Parsed)
    return parsed


def the_only_sms(body: Any) -> Sms:
    fact = the_only_one(body).body
    assert isinstance(fact, Sms)
    return fact


@pytest.mark.parametrize(("sample", "told"), GOLDEN, ids=lambda value: value if isinstance(value, str) else "")
def test_a_published_sms_is_read_as_its_page_says(sample: str, told: dict[str, Any]) -> None:
    sent = (SAMPLES / sample).read_bytes()
    raw = json.loads(sent)
    expected = Parsed(
        kind="sms",
        session_id=SMS,  # docs/design.md section 5: SMS: (source, identifier)
        key=f"sms|{SMS}|{told['mode']}",  # docs/design.md section 5: (identifier, mode)
        fingerprint=hashlib.sha256(json.dumps(raw, sort_keys=True, separators=(",", ":")).encode()).hexdigest(),
        body=Sms(**told, raw=raw),
    )
    assert DIALECT.parse(a_push(sent), SOURCE) == [expected]


def test_every_sms_sample_has_its_expectation() -> None:
    pushes = {path.name for path in SAMPLES.glob("*-sms-*.json") if "response" not in path.name}
    assert {row[0] for row in GOLDEN} == pushes


def test_the_two_spellings_of_the_event_say_the_same() -> None:
    """Section 4, row event: `Text SMS ` and `TextSMS`."""
    facts = [the_only_sms(an_sms(event=event)) for event in ("Text SMS ", "TextSMS", "Something new")]
    assert len({(fact.identifier, fact.mode, fact.status) for fact in facts}) == 1
    assert facts[0].raw["smsEvent"]["event"] == "Text SMS "


def test_every_documented_field_is_told() -> None:
    """Section 4: called, subscriptionId, smsContent; userData is the echo of an answer (AX)."""
    fact = the_only_sms(
        an_sms(calling=B, called=A, virtualNumber=X, subscriptionId="b1", smsContent="hello", userData="u1")
    )
    assert (fact.sender, fact.receiver, fact.private_number) == (B, A, X)
    assert (fact.binding_id, fact.text, fact.user_data) == ("b1", "hello", "u1")


@pytest.mark.parametrize(
    ("sent", "direction"),
    [("0", "b_to_a"), ("1", "a_to_b"), ("2", "abnormal"), (1, "a_to_b"), ("3", None), ("", None), (None, None)],
)
def test_the_direction_is_the_same_table_for_every_mode(sent: Any, direction: str | None) -> None:
    """Section 4, row extInfo.extParas: AXB 0 B->A; AX 0 others->A; X fixed 1; table F: "0", "1", "2"."""
    assert the_only_sms(with_extra([{"key": "direction", "value": sent}])).direction == direction


@pytest.mark.parametrize(
    "extra",
    [
        [{"key": "splitNum", "value": "3"}, {"key": "direction", "value": "0"}],
        [{"key": "splitNum", "value": 3}, {"key": "direction", "value": 0}, {"key": "new", "value": "?"}],
        [
            None,
            7,
            {"value": "3"},
            {"key": ["x"]},
            {"key": "direction", "value": "0"},
            {"key": "splitNum", "value": "3"},
        ],
        {"splitNum": "3", "direction": "0"},  # an old demo treats extParas as an object
    ],
)
def test_extra_parameters_come_as_a_list_or_as_an_object(extra: Any) -> None:
    fact = the_only_sms(with_extra(extra))
    assert (fact.parts, fact.direction) == (3, "b_to_a")


def test_one_extra_parameter_may_stand_alone() -> None:
    assert the_only_sms(with_extra({"key": "splitNum", "value": "3"})).parts == 3


@pytest.mark.parametrize("extra", [None, [], {}, "x", 7, [[]], {"key": 7}, {"splitNum": {}}])
def test_without_extra_parameters_nothing_is_told(extra: Any) -> None:
    fact = the_only_sms(with_extra(extra))
    assert (fact.parts, fact.direction) == (None, None)
    assert the_only_sms(an_sms(extInfo="?")).parts is None


# F, sendResult: 6 and 8 and 12 are rules that stopped it; 9 is not a delivery, for parts of it are lost.
RESULTS = {
    0: "delivered", 1: "failed", 2: "failed", 3: "failed", 4: "failed", 5: "failed", 6: "intercepted", 7: "failed",
    8: "intercepted", 9: "failed", 10: "failed", 11: "failed", 12: "intercepted", 13: None,
}  # fmt: skip


@pytest.mark.parametrize("number", RESULTS)
def test_the_status_comes_from_the_send_result(number: int) -> None:
    fact = the_only_sms(an_sms(sendResult=number))
    assert fact.status == RESULTS[number]
    assert fact.code is not None
    assert (fact.code.name, fact.code.value, fact.code.outcome) == ("send_result", number, None)
    assert bool(fact.code.text) == (number != 13)


@pytest.mark.parametrize("sent", [None, "", [], {}, True])
def test_without_a_send_result_the_status_is_not_told(sent: Any) -> None:
    fact = the_only_sms(an_sms(sendResult=sent))
    assert (fact.status, fact.code) == (None, None)


def test_a_waiting_sms_that_cannot_be_sent_has_failed_all_the_same() -> None:
    assert the_only_sms(an_sms(notificationMode="Block", sendResult=1)).status == "failed"


def test_block_and_notify_of_one_sms_are_two_facts_of_one_session() -> None:
    """Section 4: after a routed Block, a Notify for the same SMS follows, to another URL."""
    asked, told = (the_only_one(an_sms(notificationMode=mode)) for mode in ("Block", "Notify"))
    assert asked.session_id == told.session_id
    assert (asked.key, told.key) == (f"sms|{SMS}|block", f"sms|{SMS}|notify")


@pytest.mark.parametrize("mode", ["Notify", "notify", "New", "", None, 7])
def test_a_mode_that_nobody_has_seen_waits_for_nothing(mode: Any) -> None:
    assert the_only_sms(an_sms(notificationMode=mode)).mode == "notify"


@pytest.mark.parametrize("sent", [{"smsIdentifier": 9007199254740993}, {"smsIdentifier": "9007199254740993"}])
def test_an_identifier_sent_as_a_number_loses_no_figure(sent: dict[str, Any]) -> None:
    assert the_only_one(an_sms(**sent)).session_id == "9007199254740993"


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (None, "no_sms_event"),
        ([], "no_sms_event"),
        ({}, "no_sms_identifier"),
        ({"smsIdentifier": ""}, "no_sms_identifier"),
        ({"smsIdentifier": 1e30}, "numeric_id"),
        ({"smsIdentifier": "s" * 257}, "long_id"),
        ({"smsIdentifier": "1", "timeStamp": "13866887021"}, "bad_time"),
    ],
)
def test_an_sms_that_cannot_be_told_apart_is_refused(event: Any, reason: str) -> None:
    (refused,) = DIALECT.parse(a_push({"appKey": "k", "smsEvent": event}), SOURCE)
    assert isinstance(refused, Malformed)
    assert refused.reason == reason
    assert "13866887021" not in str(refused)
