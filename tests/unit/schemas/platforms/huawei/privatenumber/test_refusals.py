"""What PrivateNumber's dialect refuses, with which reason.

Sections are those of docs/protocols/huawei-privatenumber.md.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.errors import Malformed
from schemas.facts import Cdr, Parsed
from schemas.platforms.huawei.privatenumber import DIALECT
from schemas.platforms.huawei.privatenumber.settings import PrivateNumberSource
from tests.building.pushes import a_push
from tests.building.samples import SAMPLES_OF_ALL

SAMPLES = SAMPLES_OF_ALL / "huawei_privatenumber"
SOURCE = PrivateNumberSource.model_validate(
    {"name": "huawei-bj", "platform": "huawei_privatenumber", "tokens": ["token"]}
)
BODIES = {path.name: json.loads(path.read_bytes()) for path in sorted(SAMPLES.glob("*.json"))}
NUMBER = "13866887021"


def nested(depth: int) -> bytes:
    return b'{"a":' * (depth - 1) + b"{}" + b"}" * (depth - 1)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty_body"),
        (b"\xef\xbb\xbf", "empty_body"),
        (b" \r\n", "empty_body"),
        (b"<xml/>", "not_json"),
        (b"\xff\xfe{\x00}\x00", "not_json"),
        (b'{"a": NaN}', "not_json"),
        (nested(33), "too_deep"),
        (b'{"a":[' + b"[]," * 20_000 + b"[]]}", "too_many_brackets"),
        (nested(300), "too_deep"),
        (nested(5000), "too_deep"),
        (b"[" * 33 + b"]" * 33, "too_deep"),
        (b"[]", "not_an_object"),
        (b"null", "not_an_object"),
        (b'"fee"', "not_an_object"),
        ({"eventType": "fee"}, "no_fee_list"),
        ({"eventType": "fee", "feeLst": []}, "no_fee_list"),
        ({"eventType": "FEE", "feeLst": "1"}, "no_fee_list"),
        ({"eventType": "FEE", "feeLst": None}, "no_fee_list"),
        ({"eventType": "fee", "feeLst": [{}] * 1001}, "long_fee_list"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_as_a_whole(body: Any, reason: str) -> None:
    with pytest.raises(Malformed) as refused:
        DIALECT.parse(a_push(body), SOURCE)
    assert refused.value.reason == reason


BAD_ITEMS = [
    ({}, "no_session_id"),
    ({"sessionId": ""}, "no_session_id"),
    ({"sessionId": None}, "no_session_id"),
    ({"sessionId": ["1"]}, "no_session_id"),
    ({"sessionId": True}, "no_session_id"),
    ({"sessionId": "\0"}, "no_session_id"),
    ({"sessionId": 1.0}, "numeric_id"),
    ({"sessionId": 12345678901234567890123}, "numeric_id"),
    ({"sessionId": "s" * 257}, "long_id"),
]
BAD_TIMES = [20190124, NUMBER, "2019-13-24 02:30:03", "2019-01-24", "2019-01-24 02:30:03+25:00", {}, True]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        *BAD_ITEMS,
        (7, "not_an_object"),
        (None, "not_an_object"),
        ([{}], "not_an_object"),
        ({"sessionId": "1", "icid": 7.5}, "numeric_id"),
        ({"sessionId": "1", "icid": 2**64}, "numeric_id"),
        ({"sessionId": "1", "icid": "i" * 257}, "long_id"),
        *(({"sessionId": "1", "icid": "2", "fwdAnswerTime": time}, "bad_time") for time in BAD_TIMES),
    ],
)
def test_a_bad_record_is_refused_alone(record: Any, reason: str) -> None:
    good = {"sessionId": "1", "icid": "1"}
    refused, read = DIALECT.parse(a_push({"eventType": "fee", "feeLst": [record, good]}), SOURCE)
    assert isinstance(refused, Malformed)
    assert refused.reason == reason
    assert NUMBER not in str(refused)
    assert isinstance(read, Parsed)


def test_one_bad_record_does_not_spoil_a_merged_push() -> None:
    """Section 0, batching: up to 50 records in one POST."""
    records = [{"sessionId": "1", "icid": str(n)} for n in range(50)]
    records[20]["callEndTime"] = "yesterday"
    results = DIALECT.parse(a_push({"eventType": "fee", "feeLst": records}), SOURCE)
    assert [str(item) if isinstance(item, Malformed) else item.key for item in results] == [
        "bad_time: callEndTime" if n == 20 else f"cdr|1|{n}" for n in range(50)
    ]


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        *BAD_ITEMS,
        (None, "no_status_info"),
        ("?", "no_status_info"),
        *(({"sessionId": "1", "timestamp": time}, "bad_time") for time in BAD_TIMES),
    ],
)
def test_a_bad_call_event_is_refused(info: Any, reason: str) -> None:
    (refused,) = DIALECT.parse(a_push({"eventType": "answer", "statusInfo": info}), SOURCE)
    assert isinstance(refused, Malformed)
    assert refused.reason == reason
    assert NUMBER not in str(refused)


@pytest.mark.parametrize("absent", ["", None])
def test_an_empty_time_is_no_time(absent: Any) -> None:
    """Section 3: failTime is "" on success, so any of them may be."""
    record = {"sessionId": "1", "icid": "2", "fwdAnswerTime": absent, "failTime": "whatever"}
    (parsed,) = DIALECT.parse(a_push({"eventType": "fee", "feeLst": [record]}), SOURCE)
    assert isinstance(parsed, Parsed)
    assert isinstance(parsed.body, Cdr)
    assert (parsed.body.call.answered_at, parsed.body.implies) == (None, ())


@pytest.mark.parametrize("body", [nested(32), nested(31).replace(b"{}", b'{"b":[],"c":[]}')])
def test_a_body_of_32_levels_is_read(body: bytes) -> None:
    (parsed,) = DIALECT.parse(a_push(body), SOURCE)
    assert (isinstance(parsed, Malformed), str(parsed)) == (True, "unknown_push"), "not too_deep"


def test_many_shallow_records_are_not_deep() -> None:
    records = [{"sessionId": "1", "icid": str(n)} for n in range(1000)]
    assert len(DIALECT.parse(a_push({"eventType": "fee", "feeLst": records}), SOURCE)) == 1000


def test_a_byte_order_mark_makes_no_difference() -> None:
    sent = (SAMPLES / "ax-fee.json").read_bytes()
    assert DIALECT.parse(a_push(b"\xef\xbb\xbf" + sent), SOURCE) == DIALECT.parse(a_push(sent), SOURCE)


def test_nul_characters_are_dropped_everywhere() -> None:
    record = {"sessionId": "1\0", "icid": "2", "userData": "a\0b", "n\0ew": [{"deep": "\0"}], "plain": "\\u0000"}
    (parsed,) = DIALECT.parse(a_push({"eventType": "fee", "feeLst": [record]}), SOURCE)
    assert isinstance(parsed, Parsed)
    assert isinstance(parsed.body, Cdr)
    assert (parsed.session_id, parsed.body.call.user_data) == ("1", "ab")
    assert parsed.repaired == ("character",)
    assert parsed.body.raw == {
        "sessionId": "1", "icid": "2", "userData": "ab", "new": [{"deep": ""}], "plain": "\\u0000",
    }  # fmt: skip


def test_the_order_of_keys_makes_no_other_fingerprint() -> None:
    records = [
        {"sessionId": "1", "icid": "2"},
        {"icid": "2", "sessionId": "1"},
        {"icid": "2", "sessionId": "1", "n": 1},
    ]
    results = DIALECT.parse(a_push({"eventType": "fee", "feeLst": records}), SOURCE)
    one, same, amended = (item.fingerprint for item in results if isinstance(item, Parsed))
    assert one == same
    assert one != amended
