"""What VoiceCall's dialect refuses, with which reason.

Sections are those of docs/protocols/huawei-voicecall.md.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.errors import Malformed
from schemas.facts import Parsed
from schemas.platforms.huawei.voicecall import DIALECT
from schemas.platforms.huawei.voicecall.settings import VoiceCallSource
from tests.building.pushes import a_push
from tests.building.samples import SAMPLES_OF_ALL

SAMPLES = SAMPLES_OF_ALL / "huawei_voicecall"
SOURCE = VoiceCallSource.model_validate({"name": "huawei-vc", "platform": "huawei_voicecall", "tokens": ["token"]})
BODIES = {path.name: json.loads(path.read_bytes()) for path in sorted(SAMPLES.glob("*.json"))}
NUMBER = "13866887021"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty_body"),
        (b"<xml/>", "not_json"),
        (b"[]", "not_an_object"),
        (b'{"a":' * 33 + b"1" + b"}" * 33, "too_deep"),
        (b'{"a":[' + b"[]," * 20_000 + b"[]]}", "too_many_brackets"),
        ({"eventType": "fee"}, "no_fee_list"),
        ({"eventType": "fee", "feeLst": []}, "no_fee_list"),
        ({"eventType": "FEE", "feeLst": "1"}, "no_fee_list"),
        ({"eventType": "fee", "feeLst": [{}] * 1001}, "long_fee_list"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_as_a_whole(body: Any, reason: str) -> None:
    with pytest.raises(Malformed) as refused:
        DIALECT.parse(a_push(body), SOURCE)
    assert refused.value.reason == reason


BAD_ITEMS = [
    ({}, "no_session_id"),
    ({"sessionId": None}, "no_session_id"),
    ({"SessionId": "1"}, "no_session_id"),  # section 0, row case: sessionId, not sessionid
    ({"sessionId": 1.5}, "numeric_id"),
    ({"sessionId": 2**64}, "numeric_id"),  # a reader makes a float of it
    ({"sessionId": "s" * 257}, "long_id"),
]
BAD_TIMES = [20190124, NUMBER, "2019-13-24 02:30:03", "2019-01-24", "2019-01-24 02:30:03+25:00", {}, True]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        *BAD_ITEMS,
        (7, "not_an_object"),
        (None, "not_an_object"),
        ({"sessionId": "1", "icid": 7.5}, "numeric_id"),
        *(({"sessionId": "1", "icid": "2", "fwdAnswerTime": time}, "bad_time") for time in BAD_TIMES),
        *(({"sessionId": "1", "icid": "2", "callOutAnswerTime": time}, "bad_time") for time in BAD_TIMES),
    ],
)
def test_a_bad_record_is_refused_alone(record: Any, reason: str) -> None:
    good = {"sessionId": "1", "icid": "1"}
    refused, read = DIALECT.parse(a_push({"eventType": "fee", "feeLst": [record, good]}), SOURCE)
    assert isinstance(refused, Malformed)
    assert refused.reason == reason
    assert NUMBER not in str(refused)
    assert isinstance(read, Parsed)


def test_an_integer_is_an_id_with_all_its_digits() -> None:
    record = {"sessionId": 2**64 - 1, "icid": 2**63}
    (read,) = DIALECT.parse(a_push({"eventType": "fee", "feeLst": [record]}), SOURCE)
    as_text = {"sessionId": "18446744073709551615", "icid": "9223372036854775808"}
    (same,) = DIALECT.parse(a_push({"eventType": "fee", "feeLst": [as_text]}), SOURCE)
    assert isinstance(read, Parsed)
    assert isinstance(same, Parsed)
    assert (read.session_id, read.key) == (same.session_id, same.key)
    assert read.session_id == "18446744073709551615"


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        *BAD_ITEMS,
        (None, "no_status_info"),
        ([], "no_status_info"),
        *(({"sessionId": "1", "timestamp": time}, "bad_time") for time in BAD_TIMES),
    ],
)
@pytest.mark.parametrize("event_type", ["callout", "disconnect", "collectInfo"])
def test_a_bad_event_is_refused(event_type: str, info: Any, reason: str) -> None:
    (refused,) = DIALECT.parse(a_push({"eventType": event_type, "statusInfo": info}), SOURCE)
    assert isinstance(refused, Malformed)
    assert refused.reason == reason
    assert NUMBER not in str(refused)


@pytest.mark.parametrize("name", ["failTime", "dynIVRStartTime", "recordStartTime"])
def test_a_time_that_no_bill_rests_on_spoils_nothing(name: str) -> None:
    record = {"sessionId": "1", "icid": "1", name: "yesterday"}
    (read,) = DIALECT.parse(a_push({"eventType": "fee", "feeLst": [record]}), SOURCE)
    assert isinstance(read, Parsed)
