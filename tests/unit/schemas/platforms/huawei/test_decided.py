"""What was decided about CDRs that both of Huawei's platforms send and no page tells of."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from schemas.errors import Malformed
from schemas.facts import Announced, Cdr, Parsed
from schemas.platforms import DIALECTS
from tests.building.pushes import a_push

BOTH = pytest.mark.parametrize("platform", ["huawei_privatenumber", "huawei_voicecall"])
A_CDR = {"sessionId": "s1", "icid": "r1", "serviceType": "002", "fwdAlertingTime": "2026-11-20 05:25:01"}
FAILED = datetime(2026, 11, 20, 5, 25, 31, tzinfo=UTC)


def read(platform: str, **fields: Any) -> Parsed | Malformed:
    dialect = DIALECTS[platform]
    source = dialect.settings.model_validate({"name": "a-source", "platform": platform, "tokens": ["token"]})
    (item,) = dialect.parse(a_push({"eventType": "fee", "feeLst": [{**A_CDR, **fields}]}), source)
    return item


def the_cdr(platform: str, **fields: Any) -> Cdr:
    item = read(platform, **fields)
    assert isinstance(item, Parsed)
    assert isinstance(item.body, Cdr)
    return item.body


@BOTH
def test_the_time_of_failure_ends_a_call_that_nobody_answered(platform: str) -> None:
    assert the_cdr(platform, failTime="2026-11-20  05:25:31").call.ended_at == FAILED
    assert the_cdr(platform, failTime="").call.ended_at is None
    assert the_cdr(platform, failTime="soon").call.ended_at is None


@BOTH
def test_nothing_is_billed_by_the_time_of_failure(platform: str) -> None:
    ended = the_cdr(platform, failTime="2026-11-20 05:25:31", callEndTime="2026-11-20 05:25:32").call.ended_at
    assert ended == FAILED.replace(second=32)
    answered = the_cdr(platform, failTime="2026-11-20 05:25:31", fwdAnswerTime="2026-11-20 05:25:18")
    assert answered.call.ended_at is None


@BOTH
@pytest.mark.parametrize("session", [None, ""])
def test_a_record_without_a_session_is_a_call_of_its_own(platform: str, session: Any) -> None:
    item = read(platform, sessionId=session)
    assert isinstance(item, Parsed)
    assert (item.session_id, item.key) == ("icid:r1", "cdr|icid:r1|r1")


@BOTH
@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"sessionId": None, "icid": None}, "no_session_id"),
        ({"sessionId": None, "icid": "r" * 252}, "long_id"),
        ({"sessionId": 1.5}, "numeric_id"),
        ({"sessionId": None, "icid": 1.5}, "numeric_id"),
    ],
)
def test_an_id_that_may_be_a_wrong_one_is_refused(platform: str, fields: dict[str, Any], reason: str) -> None:
    item = read(platform, **fields)
    assert isinstance(item, Malformed)
    assert item.reason == reason


@BOTH
def test_a_file_that_is_named_with_its_host_is_tried_without_a_flag(platform: str) -> None:
    named = {"recordObjectName": "x.wav", "recordDomain": "ostorQH2.huawei.com"}
    assert the_cdr(platform, **named).recordings == (Announced(name="x.wav", domain="ostorQH2.huawei.com"),)
    assert the_cdr(platform, **named, recordFlag=0).recordings == ()
