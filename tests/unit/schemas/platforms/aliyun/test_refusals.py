"""What cannot be read goes to quarantine with a short reason, alone; the rest is always a fact."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from schemas.errors import Malformed
from schemas.facts import CallEvent, Cdr, Parsed
from schemas.platforms.aliyun import DIALECT
from schemas.platforms.aliyun.control import question
from schemas.platforms.aliyun.settings import AliyunSource
from schemas.platforms.aliyun.signature import verify
from tests.building.pushes import a_push

SOURCE = AliyunSource.model_validate(
    {"name": "aliyun", "platform": "aliyun_pnp", "tokens": ["token"], "app_secret": "secret"}
)
NOW = datetime(2024, 3, 5, 6, 7, 8, tzinfo=UTC)
NUMBER = "13800000001"
GOOD = {"call_id": "c1", "id": 1, "release_time": "2024-03-05 14:08:25"}


def parse(body: Any, path: str = "") -> list[Parsed | Malformed]:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return list(DIALECT.parse(a_push(sent, path), SOURCE))


def nested(depth: int) -> bytes:
    return b"[" + b'{"a":' * (depth - 1) + b"{}" + b"}" * (depth - 1) + b"]"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty_body"),
        (b"\xef\xbb\xbf", "empty_body"),
        (b" \r\n", "empty_body"),
        (b"<xml/>", "not_json"),
        (b"\xff\xfe[\x00]\x00", "not_json"),
        (b"[NaN]", "not_json"),
        (b"[{}]]", "not_json"),
        (b'[{}],"items":[{}]', "not_json"),  # must not slip into the object that we read it with
        (b"[{}]}", "not_json"),
        (b"[00000000000000000000001]", "not_json"),
        (b"a=1&b=2", "not_json"),
        (nested(32), "too_deep"),
        (b'{"a":[' + b"[]," * 20_000 + b"[]]}", "too_many_brackets"),
        (nested(300), "too_deep"),
        (nested(5000), "too_deep"),
        (b"null", "not_an_object"),
        (b"7", "not_an_object"),
        (b'"x"', "not_an_object"),
        (b"[]", "no_items"),
        (b" [ ] ", "no_items"),
        (b"[" + b"{}," * 1000 + b"{}]", "too_many_items"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_as_a_whole(body: bytes, reason: str) -> None:
    with pytest.raises(Malformed) as refused:
        parse(body)
    assert refused.value.reason == reason


BAD_TIMES = [20240305, "170961882", NUMBER, "2024-13-05 14:07:08", "2024-03-05", {}, True, 1709618828080.5,
             "0001-01-01 00:00:00", "0000-00-00 00:00:00", 17096188280800]  # fmt: skip


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (7, "not_an_object"),
        (None, "not_an_object"),
        ([GOOD], "not_an_object"),
        ({"release_time": "2024-03-05 14:08:25"}, "no_call_id"),
        ({**GOOD, "call_id": True, "id": None}, "no_call_id"),
        ({**GOOD, "call_id": "", "id": ["1"]}, "no_call_id"),
        ({**GOOD, "call_id": 1e15}, "float_id"),
        ({**GOOD, "id": 1.5}, "float_id"),
        ({**GOOD, "call_id": "c" * 257}, "long_id"),
        ({**GOOD, "id": "c" * 257}, "long_id"),
        ({"call_type": 2, "release_time": "2024-03-05 14:08:25"}, "no_sms_id"),
        *(({**GOOD, "start_time": time}, "bad_time") for time in BAD_TIMES),
        *(({**GOOD, "call_time": time}, "bad_time") for time in BAD_TIMES),
    ],
)
def test_a_bad_receipt_is_refused_alone(item: Any, reason: str) -> None:
    refused, read = parse([item, GOOD])
    assert isinstance(refused, Malformed)
    assert refused.reason == reason
    assert NUMBER not in str(refused)
    assert isinstance(read, Parsed)


@pytest.mark.parametrize("path", ["/SecretStartReport", "/SecretRingReport", "/SecretPickUpReport", "/SecretRecording"])
def test_a_receipt_that_names_no_call_is_refused(path: str) -> None:
    (refused,) = parse([{"call_time": "2024-03-05 14:07:08"}], path)
    assert isinstance(refused, Malformed)
    assert refused.reason == "no_call_id"


@pytest.mark.parametrize("shape", [b"[%b]", b"%b", b"\xef\xbb\xbf [%b]"])
@pytest.mark.parametrize(
    "number",
    [
        9007199254740993,  # 2**53 + 1, the first that a float cannot hold
        18446744073709551615,  # the last of 64 bits
        18446744073709551616,  # which orjson makes a float of
        123456789012345678901234567890,
        -9223372036854775809,
    ],
)
def test_a_long_id_keeps_every_figure(number: int, shape: bytes) -> None:
    """docs/protocols/aliyun-pnp.md section 7, trap 5: 16 and more digits, as int or string, never float."""
    item = b'{"call_id": %d, "id": %d, "sub_id": %d, "release_time": ""}' % (number, number, number)
    item = item.replace(b'"release_time": ""', b'"release_cause": 16')
    (fact,) = parse(shape % item)
    assert isinstance(fact, Parsed)
    assert isinstance(fact.body, Cdr)
    assert fact.body.call.binding_id == str(number)
    assert (fact.session_id, fact.body.record_id) == (str(number), str(number))
    assert str(fact.body.raw["sub_id"]) == str(number)


def test_figures_inside_texts_and_fractions_are_left_alone() -> None:
    item = (
        b'{"call_id": "c1", "release_cause": 16, "a": "x 12345678901234567890 \\" 12345678901234567890", '
        b'"b": 0.12345678901234567890123, "c": 1234567890123456789012e2, "d": [12345678901234567890123]}'
    )
    (fact,) = parse(b"[" + item + b"]")
    assert isinstance(fact, Parsed)
    assert isinstance(fact.body, Cdr)
    assert fact.body.raw["a"] == 'x 12345678901234567890 " 12345678901234567890'
    assert fact.body.raw["b"] == 0.12345678901234567890123
    assert fact.body.raw["c"] == 1234567890123456789012e2
    assert fact.body.raw["d"] == ["12345678901234567890123"]


@pytest.mark.parametrize("body", [nested(30), nested(29).replace(b"{}", b'{"b":[],"c":[]}')])
def test_a_body_of_32_levels_is_read(body: bytes) -> None:
    """The list is the second level, as it is in an object of the other platforms."""
    (fact,) = parse(body)
    assert (isinstance(fact, Malformed), str(fact)) == (True, "unknown_push"), "not too_deep"


def test_many_shallow_receipts_are_not_deep() -> None:
    assert len(parse([{**GOOD, "call_id": str(n)} for n in range(1000)])) == 1000


def test_nul_characters_are_dropped_everywhere() -> None:
    (fact,) = parse([{**GOOD, "call_id": "c\0001", "n\0ew": ["\0"]}])
    assert isinstance(fact, Parsed)
    assert isinstance(fact.body, Cdr)
    assert (fact.session_id, fact.body.raw["new"]) == ("c1", [""])
    assert fact.repaired == ("character",)
    (asked,) = parse(b"callId=c%001&recordType=CAL&extension=%00")
    assert isinstance(asked, Parsed)
    assert isinstance(asked.body, CallEvent)
    assert (asked.session_id, asked.body.raw["extension"]) == ("c1", "")
    assert asked.repaired == ("character",)


def test_the_order_of_keys_makes_no_other_fingerprint() -> None:
    one, same, amended = parse([GOOD, dict(reversed(GOOD.items())), {**GOOD, "n": 1}])
    assert isinstance(one, Parsed)
    assert isinstance(same, Parsed)
    assert isinstance(amended, Parsed)
    assert one.fingerprint == same.fingerprint != amended.fingerprint


def test_a_form_of_too_many_fields_is_neither_a_question_nor_an_error_at_the_door() -> None:
    push = a_push("&".join(f"callId{n}=1&callId=1" for n in range(65)).encode())
    assert question(push, SOURCE) is None
    assert verify(push, SOURCE, NOW) is None
    with pytest.raises(Malformed) as refused:
        DIALECT.parse(push, SOURCE)
    assert refused.value.reason == "not_json"


@pytest.mark.parametrize(
    ("row", "path"), [({}, ""), ({"hello": "world"}, "/hook"), ({"call_id": ""}, ""), ({"call_id": "c" * 257}, "")]
)
def test_what_says_neither_what_it_is_nor_of_which_call_is_set_aside(row: dict[str, Any], path: str) -> None:
    """It became an event of no call, under a subject that all such shared."""
    (found,) = parse(row, path)
    assert isinstance(found, Malformed)
    assert found.reason == "unknown_push"
