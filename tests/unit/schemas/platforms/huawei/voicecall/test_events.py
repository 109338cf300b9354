"""Every published call event of VoiceCall, against expectations written by hand and never printed by the parser.

Sections are those of docs/protocols/huawei-voicecall.md, tables of docs/protocols/huawei-reason-codes.md.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

import pytest

from schemas.errors import Malformed
from schemas.facts import CallEvent, CallFields, Code, Other, Parsed
from schemas.platforms.huawei.voicecall import DIALECT
from schemas.platforms.huawei.voicecall.settings import VoiceCallSource
from schemas.vocabulary import TimelineType
from tests.building.pushes import a_push, an_event_read, canonical, sha256
from tests.building.samples import SAMPLES_OF_ALL

SOURCE = VoiceCallSource.model_validate({"name": "huawei-vc", "platform": "huawei_voicecall", "tokens": ["token"]})
SAMPLES = SAMPLES_OF_ALL / "huawei_voicecall"

CALLBACK_SESSION = "1201_612_4294967295_20190124030424@callenabler245.huaweicaas.com"
NOTIFY_SESSION = "1201_12897_4294967295_20180522064331@callenabler245.huaweicaas.com"
A, B, SHOWN = "+8613800000021", "+8613800000022", "+8675528000001"
NORMAL = (Code(name="state_code", value=0, text="normal"),)  # table C, 0; docs/contract.md section 1: 0 is skipped

Row = tuple[str, str, str, TimelineType, datetime, str, CallFields]


def an_event(event_type: str, **info: Any) -> dict[str, Any]:
    return {
        "eventType": event_type,
        "statusInfo": {"sessionId": CALLBACK_SESSION, "timestamp": "2019-01-24 03:04:24", **info},
    }


def parsed_event(body: Any, path: str = "") -> tuple[Parsed, CallEvent]:
    (parsed,) = DIALECT.parse(a_push(body, path), SOURCE)
    assert isinstance(parsed, Parsed)
    assert isinstance(parsed.body, CallEvent)
    return parsed, parsed.body


def the_only_event(body: Any, path: str = "") -> CallEvent:
    return parsed_event(body, path)[1]


def in_january(clock: str) -> datetime:
    """Section 0, row times: UTC."""
    return datetime.fromisoformat(f"2019-01-24T{clock}+00:00")


def in_may(clock: str) -> datetime:
    return datetime.fromisoformat(f"2018-05-22T{clock}+00:00")


def told(**fields: Any) -> CallFields:
    """Section 1, row userData: in all events."""
    return CallFields(user_data="customerId123", **fields)


# Section 1: both legs tell the same events under one session id, told apart by `called`; only partyType of the
# disconnect says that this is a callback, and the note there that its called is A's number.
CALLBACK: list[Row] = [
    ("callback-status-callout-lega.json", "", "callout", "outgoing", in_january("03:04:24"), A,
     told(started_at=in_january("03:04:24"))),
    ("callback-status-alerting-lega.json", "", "alerting", "ringing", in_january("03:04:30"), A, told()),
    ("callback-status-answer-lega.json", "", "answer", "answered", in_january("03:04:36"), A, told()),
    ("callback-status-callout-legb.json", "", "callout", "outgoing", in_january("03:04:37"), B,
     told(started_at=in_january("03:04:37"))),
    ("callback-status-disconnect.json", "", "disconnect", "ended", in_january("03:05:45"), A,
     told(product="callback", caller=A, ended_at=in_january("03:05:45"), codes=NORMAL)),
]  # fmt: skip

# Without partyType, nothing in an event tells notify and verify from callback.
NOTIFY: list[Row] = [
    ("notify-status-callout.json", "", "callout", "outgoing", in_may("06:43:31"), A,
     told(started_at=in_may("06:43:31"))),
    ("notify-status-alerting.json", "", "alerting", "ringing", in_may("06:43:40"), A, told()),
    ("notify-status-answer.json", "", "answer", "answered", in_may("06:43:50"), A, told()),
    ("notify-status-disconnect.json", "", "disconnect", "ended", in_may("06:44:10"), A,
     told(ended_at=in_may("06:44:10"), codes=NORMAL)),
]  # fmt: skip

# The URL says verify: one leg, so called is the user, caller the display number, and every time counts.
ONE_LEG: dict[str, Any] = {"product": "verify", "callee": A, "display_number": SHOWN}
VERIFY: list[Row] = [
    ("verify-status-callout.json", "/verify", "callout", "outgoing", in_may("06:43:31"), A,
     told(started_at=in_may("06:43:31"), **ONE_LEG)),
    ("verify-status-alerting.json", "/verify", "alerting", "ringing", in_may("06:43:40"), A,
     told(ringing_at=in_may("06:43:40"), **ONE_LEG)),
    ("verify-status-answer.json", "/verify", "answer", "answered", in_may("06:43:50"), A,
     told(answered_at=in_may("06:43:50"), **ONE_LEG)),
    ("verify-status-disconnect.json", "/verify", "disconnect", "ended", in_may("06:44:10"), A,
     told(ended_at=in_may("06:44:10"), codes=NORMAL, **ONE_LEG)),
]  # fmt: skip

GOLDEN = [*CALLBACK, *NOTIFY, *VERIFY]


@pytest.mark.parametrize("row", GOLDEN, ids=lambda row: row[0])
def test_a_published_event_is_read_as_its_page_says(row: Row) -> None:
    sample, path, platform_type, timeline_type, when, called, call = row
    sent = (SAMPLES / sample).read_bytes()
    raw = json.loads(sent)
    session = CALLBACK_SESSION if sample.startswith("callback") else NOTIFY_SESSION
    kinds = (platform_type, timeline_type)
    expected = an_event_read(session, kinds, when, numbers=(SHOWN, called), call=call, raw=raw)
    assert DIALECT.parse(a_push(sent, path), SOURCE) == [expected]


def test_every_event_sample_has_its_expectation() -> None:
    assert sorted(row[0] for row in GOLDEN) == sorted(path.name for path in SAMPLES.glob("*-status-*.json"))


def test_the_two_legs_have_two_keys_even_in_the_same_second() -> None:
    """Section 1: the same sessionId for both, tell them apart by called."""
    keys = {parsed_event(an_event("callout", caller=SHOWN, called=called))[0].key for called in (A, B)}
    assert len(keys) == 2


def test_no_key_spells_a_phone_number() -> None:
    assert "13800000021" not in parsed_event(an_event("answer", caller=SHOWN, called=A))[0].key


@pytest.mark.parametrize("path", ["", "/callback"])
@pytest.mark.parametrize("event_type", ["alerting", "answer"])
def test_what_may_be_the_leg_of_a_says_nothing_of_the_call(event_type: str, path: str) -> None:
    call = the_only_event(an_event(event_type, caller=SHOWN, called=A), path).call
    assert call == CallFields(product="callback" if path else None)


def test_a_disconnect_at_the_callback_url_names_a_without_party_type() -> None:
    """Section 1, row called: for disconnect, called = A number."""
    call = the_only_event(an_event("disconnect", caller=SHOWN, called=A), "/callback").call
    assert (call.product, call.caller, call.callee) == ("callback", A, None)


def test_a_party_type_says_callback_whatever_the_url_says() -> None:
    """Section 1, row partyType: callback only."""
    call = the_only_event(an_event("disconnect", called=A, partyType="platform"), "/notify").call
    assert (call.product, call.caller, call.callee) == ("callback", A, None)


def test_collected_digits_belong_to_notify_and_are_no_extension() -> None:
    """Section 1: collectInfo has only sessionId, timestamp, digitInfo, userData."""
    body = an_event("collectInfo", digitInfo="0-2", userData="u")
    event = the_only_event(body)
    assert (event.type, event.platform_type, event.caller, event.callee) == ("digits", "collectInfo", None, None)
    assert event.call == CallFields(product="notify", user_data="u")
    assert event.raw == body


def test_a_timestamp_with_two_spaces_is_the_same_time() -> None:
    """Section 0, row times."""
    one, two = (an_event("answer", timestamp=f"2019-01-24{gap}03:04:36", called=A) for gap in (" ", "  "))
    assert the_only_event(two).at == in_january("03:04:36")
    assert parsed_event(one)[0].key == parsed_event(two)[0].key


def test_the_older_display_number_is_read_where_there_is_one_leg() -> None:
    """Section 1, row displayCallerNum."""
    body = an_event("callout", caller=B, called=A, displayCallerNum=SHOWN)
    assert the_only_event(body, "/notify").call.display_number == SHOWN


def test_a_callin_is_incoming_though_the_page_defines_none() -> None:
    event = the_only_event(an_event("callin", caller=A, called=SHOWN))
    assert (event.type, event.call.called_in_at) == ("incoming", in_january("03:04:24"))


def test_the_case_of_the_event_type_makes_no_second_key() -> None:
    keys = {parsed_event(an_event(name, called=A))[0].key for name in ("answer", "Answer")}
    assert len(keys) == 1


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({"stateCode": 8101}, Code(name="state_code", value=8101, outcome="no_answer", text="callee did not answer")),
        # 8001 is "rate control, line fault, callee off, busy, no answer": Q.850 and SIP shall decide
        ({"stateCode": 8001, "stateDesc": "?"}, Code(name="state_code", value=8001, text="not connected")),
        ({"stateCode": 8999, "stateDesc": "New."}, Code(name="state_code", value=8999, text="New.")),
        ({"stateCode": "8102"}, Code(name="state_code", value="8102", outcome="busy", text="callee busy")),
    ],
)
def test_a_state_code_keeps_its_value_and_gets_its_meaning(sent: dict[str, Any], expected: Code) -> None:
    assert the_only_event(an_event("disconnect", **sent)).call.codes == (expected,)


@pytest.mark.parametrize("sent", [{}, {"stateCode": None}, {"stateCode": ""}, {"stateCode": [1]}, {"stateCode": True}])
def test_what_is_no_code_is_only_kept_raw(sent: dict[str, Any]) -> None:
    """Section 1, row stateCode: optional."""
    event = the_only_event(an_event("disconnect", **sent))
    assert event.call.codes == ()
    assert event.raw == an_event("disconnect", **sent)


def test_numbers_are_normalised_and_unknown_fields_kept() -> None:
    body = {**an_event("callout", caller="075528000001", called=13800000021, newField=[1]), "pushId": "p1"}
    event = the_only_event(body)
    assert (event.caller, event.callee, event.raw) == (SHOWN, A, body)


def test_an_event_without_a_time_is_kept() -> None:
    event = the_only_event({"eventType": "answer", "statusInfo": {"sessionId": CALLBACK_SESSION}}, "/notify")
    assert (event.at, event.call.answered_at) == (None, None)


@pytest.mark.parametrize(
    ("body", "session"),
    [
        (an_event("transfer", called=A), CALLBACK_SESSION),
        ({"eventType": "new", "statusInfo": {"sessionId": 7}}, "7"),
        ({"eventType": "new", "statusInfo": {"sessionId": 7.5}}, ""),
        ({"eventType": "new", "statusInfo": {"sessionId": "s" * 257}}, ""),
        ({"eventType": "new", "statusInfo": "?"}, ""),
    ],
)
def test_whatever_else_is_an_object_is_kept_raw(body: dict[str, Any], session: str) -> None:
    sent = json.dumps(body).encode()
    assert DIALECT.parse(a_push(sent), SOURCE) == [
        Parsed(
            kind="other",
            session_id=session,
            key=f"other|{hashlib.sha256(sent).hexdigest()}",
            fingerprint=sha256(canonical(body)),
            body=Other(raw=body),
        )
    ]


@pytest.mark.parametrize("body", [{}, {"eventType": 7}, {"feeLst": []}, {"hello": "world"}])
def test_what_says_neither_what_it_is_nor_of_which_call_is_set_aside(body: dict[str, Any]) -> None:
    (found,) = DIALECT.parse(a_push(json.dumps(body).encode()), SOURCE)
    assert isinstance(found, Malformed)
    assert found.reason == "unknown_push"
