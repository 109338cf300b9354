"""SMS of Aliyun, made from the words of docs/protocols/aliyun-pnp.md ("section"); no sample shows one."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from schemas.facts import Code, Parsed, Sms
from schemas.notification import Notification
from schemas.platforms.aliyun import DIALECT
from schemas.platforms.aliyun.settings import AliyunSource

SOURCE = AliyunSource.model_validate({"name": "aliyun", "platform": "aliyun_pnp", "tokens": ["token"]})
A, B, X = "+8613800000001", "+8613900000003", "+8617000000002"
# Section 4.1, last rows of the table: in an SMS CDR all four times carry the time of receipt; 9999 is its cause.
SMS_REPORT: dict[str, Any] = {
    "id": "77", "call_id": "s1", "pool_key": "FC1", "phone_no": "13800000001", "secret_no": "17000000002",
    "peer_no": "13900000003", "sub_id": "5", "out_id": 88, "call_type": 2, "sms_number": 3,
    "call_time": "2024-03-05 14:07:08", "ring_time": "2024-03-05 14:07:08", "start_time": "2024-03-05 14:07:08",
    "release_time": "2024-03-05 14:07:08", "release_cause": 9999, "unconnected_cause": 0,
}  # fmt: skip
# Section 4.6.
INTERCEPT: dict[str, Any] = {
    "id": 78, "partner_key": "FC1", "pool_key": "FC1", "out_id": "order-1", "sub_id": 5, "sms_type": 1,
    "send_no": "13800000001", "secret_no": "17000000002", "receive_no": "13900000003", "sms_content": "您好",
    "sms_sign": "签名", "status": "1", "sms_intercept_type": "NORMAL", "call_id": "s1", "code": "DELIVRD",
    "start_time": "2024-03-05 14:07:08",
}  # fmt: skip


def at(clock: str) -> datetime:
    return datetime.fromisoformat(f"2024-03-05T{clock}+00:00")


def the_fact(row: Any) -> Parsed:
    body = json.dumps([row]).encode()
    push = Notification(path="", remote="192.0.2.1", content_type="application/json", body=body)
    (item,) = DIALECT.parse(push, SOURCE)
    assert isinstance(item, Parsed)
    return item


def the_sms(row: dict[str, Any], **changed: Any) -> Sms:
    body = the_fact({**row, **changed}).body
    assert isinstance(body, Sms)
    return body


@pytest.mark.parametrize(
    ("changed", "direction", "sender", "receiver", "status"),
    [
        ({"call_type": 2}, "a_to_b", A, B, None),  # SMS sent
        ({"call_type": "3"}, "b_to_a", B, A, None),  # SMS received
        ({"call_type": 5}, None, A, B, "intercepted"),  # SMS blocked
        ({"call_type": 2, "unconnected_cause": 2}, "a_to_b", A, B, "failed"),
        ({"call_type": 0}, None, A, B, None),  # 9999 is the cause of an SMS CDR, whatever its type
        ({"call_type": 7, "release_cause": None}, None, A, B, None),  # it counts SMS
    ],
)
def test_an_sms_cdr_is_an_sms(
    changed: dict[str, Any], direction: str | None, sender: str, receiver: str, status: str | None
) -> None:
    """Section 4.1, rows call_type (older texts), sms_number and release_cause 9999."""
    sms = the_sms(SMS_REPORT, **changed)
    assert (sms.identifier, sms.mode, sms.parts, sms.sent_at) == ("s1", "notify", 3, at("06:07:08"))
    assert (sms.direction, sms.sender, sms.receiver, sms.status) == (direction, sender, receiver, status)
    assert (sms.private_number, sms.binding_id, sms.user_data, sms.text) == (X, "5", "88", None)


def test_an_intercepted_sms_is_read_whole() -> None:
    """Section 4.6."""
    fact = the_fact(INTERCEPT)
    assert (fact.kind, fact.session_id, fact.key) == ("sms", "s1", "sms|s1|notify|secretsmsintercept|78")
    assert fact.body == Sms(
        identifier="s1",
        mode="notify",
        sender=A,
        receiver=B,
        private_number=X,
        binding_id="5",
        user_data="order-1",
        text="您好",
        sent_at=at("06:07:08"),
        status="delivered",
        code=Code(name="sms", value="DELIVRD"),
        raw=INTERCEPT,
    )


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"code": "DELIVRD", "status": 2}, "delivered"),
        ({"code": "REJECTD"}, "failed"),
        ({"code": "UNDELIV"}, "failed"),
        ({"code": "EXPIRED"}, "failed"),
        ({"code": "ACCEPTD"}, "intercepted"),
        ({"code": "ACCEPTD", "sms_type": 3}, None),
        ({"code": None, "status": "2"}, "failed"),
        ({"code": "", "status": 1, "sms_type": "1"}, "intercepted"),
        ({"code": "NEWCODE", "status": 1, "sms_type": 3}, None),
        ({"code": None, "status": None, "sms_type": None}, None),
    ],
)
def test_what_became_of_an_sms(changed: dict[str, Any], status: str | None) -> None:
    assert the_sms(INTERCEPT, **changed).status == status


def test_an_intercept_without_its_text_is_no_pick_up() -> None:
    """Section 4.6: it has a start_time too."""
    assert the_fact({**INTERCEPT, "sms_content": ""}).kind == "sms"


def test_an_sms_is_known_by_its_id_and_gathered_by_its_call() -> None:
    """Section 4.1, last lines: prefer `id` for SMS types."""
    keys = {the_fact(row).key for row in (SMS_REPORT, {**SMS_REPORT, "id": 79}, INTERCEPT)}
    assert len(keys) == 3
    assert the_fact({**SMS_REPORT, "call_id": ""}).session_id == "77"


def test_no_key_spells_a_phone_number() -> None:
    keys = [the_fact(row).key for row in (SMS_REPORT, INTERCEPT)]
    assert not [key for key in keys if "3900000003" in key or "3800000001" in key]
