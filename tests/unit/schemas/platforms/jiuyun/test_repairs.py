"""What Jiuyun's dialect repairs, what it refuses with which reason.

Sections are those of docs/protocols/jiuyun-axb.md.
"""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from schemas.errors import Malformed
from schemas.facts import CallEvent, Cdr, Parsed
from schemas.notification import Notification
from schemas.platforms.jiuyun import DIALECT
from schemas.platforms.jiuyun.settings import JiuyunSource
from tests.building.samples import SAMPLES_OF_ALL

SAMPLES = SAMPLES_OF_ALL / "jiuyun_axb"
SOURCE = JiuyunSource.model_validate({"name": "jiuyun", "platform": "jiuyun_axb", "tokens": ["token"]})
BODIES = {path.name: path.read_bytes() for path in sorted(SAMPLES.iterdir())}
CALL = "a1b2c3d4e5f60718293a4b5c6d7e8f90"
NUMBER = "13900000003"
HANGUP = {
    "action": "Hangup", "type": "2", "appId": "app", "called": NUMBER, "callId": CALL, "userData": "abc",
    "startTimeB": "20240305140720", "endTime": "20240305140825", "duration": "65", "byeType": "0",
    "recordUrl": "http://rec.example.com/1.mp3",
}  # fmt: skip


def a_push(body: bytes) -> Notification:
    return Notification(path="", remote="192.0.2.1", content_type="application/xml", body=body)


def xml(fields: dict[str, Any]) -> bytes:
    """As the sender makes it: joined, not escaped."""
    return f"<req>{''.join(f'<{name}>{value}</{name}>' for name, value in fields.items())}</req>".encode()


def the_hangup(**fields: Any) -> Cdr:
    (parsed,) = DIALECT.parse(a_push(xml({**HANGUP, **fields})), SOURCE)
    assert isinstance(parsed, Parsed)
    assert isinstance(parsed.body, Cdr)
    return parsed.body


def test_what_is_well_formed_is_not_marked() -> None:
    assert the_hangup(userData="a &amp; b").raw == {**HANGUP, "userData": "a & b"}


@pytest.mark.parametrize(
    ("field", "sent", "read"),
    [
        ("userData", "R&D", "R&D"),
        ("userData", "R&D &amp; more & &#65;", "R&D & more & A"),
        ("recordUrl", "http://rec.example.com/1.mp3?a=1&b=2", "http://rec.example.com/1.mp3?a=1&b=2"),
        ("recordUrl", "http://rec.example.com/1.mp3?lt=1&lt=2&copy=3", "http://rec.example.com/1.mp3?lt=1&lt=2&copy=3"),
    ],
)
def test_a_bare_ampersand_is_escaped_and_the_record_marked(field: str, sent: str, read: str) -> None:
    """Section 6.1: escape bare `&`, then mark the record as repaired."""
    cdr = the_hangup(**{field: sent})
    assert cdr.raw == {**HANGUP, field: read, "_repaired": "escaped"}
    assert cdr.call.talk_seconds == 65


def test_the_address_of_a_repaired_recording_is_the_one_sent() -> None:
    (announced,) = the_hangup(recordUrl="http://rec.example.com/1.mp3?a=1&sign=2").recordings
    assert announced.url == "http://rec.example.com/1.mp3?a=1&sign=2"


@pytest.mark.parametrize(
    "sent", ["a<b", "1 < 2 & 3", "<b>bold", "</i>", "<duration>9</duration><duration>8", '<a href="x>']
)
def test_a_text_that_xml_forbids_is_taken_as_it_stands_between_its_tags(sent: str) -> None:
    """Section 6.1: on parse failure, extract `<name>text</name>` leaves."""
    cdr = the_hangup(userData=sent)
    assert cdr.raw == {**HANGUP, "userData": sent, "_repaired": "leaves"}
    assert (cdr.call.user_data, cdr.call.talk_seconds) == (sent, 65)


def test_references_are_resolved_and_empty_leaves_kept_in_a_repaired_body() -> None:
    sent = xml({**HANGUP, "userData": "1 < 2 &lt; 3 &amp;lt;"}).replace(b"</req>", b"<empty /></req >\n")
    (parsed,) = DIALECT.parse(a_push(sent), SOURCE)
    assert isinstance(parsed, Parsed)
    assert isinstance(parsed.body, Cdr)
    assert parsed.body.raw == {**HANGUP, "userData": "1 < 2 < 3 &lt;", "empty": "", "_repaired": "leaves"}


def test_a_call_event_whose_user_data_was_cut_off_is_kept_and_marked() -> None:
    """Section 6.5: the queue splits on `#####`; userData is the last field of a CallEstablish."""
    whole = BODIES["type2_call_establish.xml"]
    (parsed,) = DIALECT.parse(a_push(whole[: whole.index(b':"test"}')]), SOURCE)
    assert isinstance(parsed, Parsed)
    assert isinstance(parsed.body, CallEvent)
    assert (parsed.body.raw["userData"], parsed.body.raw["_repaired"]) == ('{"test"', "cut_off")
    assert parsed.body.call.answered_at == datetime(2024, 3, 5, 6, 7, 20, tzinfo=UTC)


@pytest.mark.parametrize("sample", ["axb_hangup.xml", "type2_hangup.xml", "voice_notify.xml", "voice_code_notify.xml"])
def test_nothing_is_billed_by_a_record_that_was_cut_off(sample: str) -> None:
    """Section 6.5; what is missing may be the duration, or the recording."""
    whole = BODIES[sample].rstrip()
    start, end = whole.index(b"</appId>"), len(whole)
    assert {reason_of(whole[:cut]) for cut in range(start, end)} == {"cut_off"}


def outcome_of(body: bytes) -> Parsed | Malformed:
    try:
        (one,) = DIALECT.parse(a_push(body), SOURCE)
    except Malformed as error:
        return error
    return one


def reason_of(body: bytes) -> str:
    refused = outcome_of(body)
    assert isinstance(refused, Malformed)
    assert NUMBER not in str(refused)
    return refused.reason


BOMB = b"".join(b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 10))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty_body"),
        (b"\xef\xbb\xbf \r\n", "empty_body"),
        (b"action=Hangup", "not_xml_or_json"),
        (b"[]", "not_xml_or_json"),
        (b"[7]", "not_xml_or_json"),
        (b"##" + xml(HANGUP), "not_xml_or_json"),
        (gzip.compress(xml(HANGUP), mtime=0), "not_xml_or_json"),
        (b"{", "not_json"),
        (b'{"a":' * 33 + b"1" + b"}" * 33, "too_deep"),
        (b'{"a":[' + b"[]," * 20_000 + b"[]]}", "too_many_brackets"),
        (b"<req>" + b" " * 256 * 1024 + b"</req>", "too_large"),
        (b"<req>" + b"<a/>" * 1000 + b"</req>", "too_many_elements"),
        (xml({**{f"n{n}": "<" for n in range(1001)}}), "too_many_elements"),
        (b"<a>" * 33 + b"</a>" * 33, "too_deep"),
        (b"<!DOCTYPE req><req/>", "doctype"),
        (b'<!DOCTYPE req SYSTEM "http://rec.example.com/x.dtd"><req/>', "doctype"),
        (b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><req><action>&x;</action></req>', "doctype"),
        (b'<!DOCTYPE r [<!ENTITY l0 "x">' + BOMB + b"]><req><action>&l9;</action></req>", "doctype"),
        (b"<req>&<!DOCTYPE req></req>", "doctype"),
        (b"<req>&<!entity x 'y'></req>", "doctype"),
        (b"<", "ill_formed"),
        (b"<html><br></html>", "ill_formed"),
        (xml(HANGUP) + xml(HANGUP), "ill_formed"),
        (xml(HANGUP).replace(b"</duration>", b""), "ill_formed"),
        (xml({**HANGUP, "userData": "a<b</userData><duration>9</duration><userData>"}), "ill_formed"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(Malformed) as refused:
        DIALECT.parse(a_push(body), SOURCE)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"callId": "null"}, "no_session_id"),
        ({"callId": ""}, "no_session_id"),
        ({"callId": ["1"]}, "no_session_id"),
        ({"callId": True}, "no_session_id"),
        ({"callId": 1.5}, "numeric_id"),
        ({"callId": 12345678901234567890123}, "numeric_id"),
        ({"callId": "c" * 257}, "long_id"),
        ({"appId": "a" * 257}, "long_id"),
        ({"action": "CallInvite", "callId": "null"}, "no_session_id"),
        ({"action": "VoiceNotify"}, "no_session_id"),
        ({"action": "VoiceCodeNotify"}, "no_session_id"),
        ({"action": "IncomeHangup", "callId": None, "called": None, "endTime": ""}, "no_session_id"),
        ({"endTime": "2024-03-05"}, "bad_time"),
        ({"endTime": "20241305140825"}, "bad_time"),
        ({"endTime": "00010101000000"}, "bad_time"),
        ({"startTimeB": 170961884}, "bad_time"),
        ({"startTimeA": NUMBER}, "bad_time"),
        ({"endTime": {}}, "bad_time"),
        ({"action": "CallEstablish", "dateCreated": "now"}, "bad_time"),
        ({"duration": "1 minute"}, "bad_duration"),
        ({"duration": 65.5}, "bad_duration"),
        ({"duration": ["65", "66"]}, "bad_duration"),
        ({"duration": True}, "bad_duration"),
        ({"duration": "null"}, "no_duration"),
        ({"duration": None, "startTimeB": None, "startTime": "20240305140720"}, "no_duration"),
    ],
)  # fmt: skip
def test_what_would_mix_calls_or_bill_them_wrongly_is_refused(fields: dict[str, Any], reason: str) -> None:
    """Section 3: trust duration, so it must be one; section 5: the formats of times."""
    assert reason_of(json.dumps({**HANGUP, **fields}).encode()) == reason


def test_two_durations_are_none() -> None:
    assert reason_of(xml({**HANGUP, "userData": "x</userData><duration>9</duration><userData>"})) == "bad_duration"
