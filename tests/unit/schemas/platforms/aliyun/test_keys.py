"""A key once made stays as it is, so that a re-push is known after an upgrade too: claims are kept for a week."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from schemas.facts import CallEvent, Parsed
from schemas.platforms.aliyun import DIALECT
from schemas.platforms.aliyun.settings import AliyunSource
from tests.building.pushes import a_push

SOURCE = AliyunSource.model_validate({"name": "a-source", "platform": "aliyun_pnp", "tokens": ["token"]})
SPELLED = pytest.mark.parametrize(
    ("sent", "in_key", "told"),
    [
        ("006591234567", "+8606591234567", "+6591234567"),
        ("0085212345678", "0085212345678", "+85212345678"),
        ("00000000000", "+860000000000", "00000000000"),
        ("+6591234567", "+6591234567", "+6591234567"),
        ("13200000012", "+8613200000012", "+8613200000012"),
        ("075512345678", "+8675512345678", "+8675512345678"),
        (" 13200000012", " 13200000012", "+8613200000012"),
        ("", "", None),
    ],
)


def the_event(sent: Any) -> tuple[str, str | None]:
    """Its key, and who was called."""
    (item,) = DIALECT.parse(a_push(sent), SOURCE)
    assert isinstance(item, Parsed)
    assert isinstance(item.body, CallEvent)
    return item.key, item.body.callee


def digest(number: str) -> str:
    return sha256(number.encode()).hexdigest()[:16]


@SPELLED
@pytest.mark.parametrize(("call_type", "called"), [(0, "peer_no"), (1, "phone_no")])
def test_a_receipt_is_keyed_by_the_number_as_it_always_was(
    sent: str, in_key: str, told: str | None, call_type: int, called: str
) -> None:
    row = {
        "call_id": "c1", "phone_no": "13100000011", "peer_no": "13100000011", "call_type": call_type,
        "ring_time": "2024-03-05 14:07:08",
    }  # fmt: skip
    key = f"event|c1|secretringreport|{digest(in_key)}|2024-03-05T06:07:08+00:00"
    assert the_event([{**row, called: sent}]) == (key, told)


@SPELLED
def test_a_question_is_keyed_by_the_number_as_it_always_was(sent: str, in_key: str, told: str | None) -> None:
    spelled = sent.replace("+", "%2B")
    asked = f"callNo=13100000011&secretNo={spelled}&recordType=CAL&callId=c1&callTime=20240305140708"
    key, called = the_event(asked.encode())
    assert (key.split("|")[3], called) == (digest(in_key), told)
