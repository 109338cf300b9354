"""Every published call event of PrivateNumber, against expectations written by hand and never printed by the parser.

Sections are those of docs/protocols/huawei-privatenumber.md, tables of docs/protocols/huawei-reason-codes.md.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from schemas.facts import CallEvent, CallFields, Code, Other, Parsed
from schemas.platforms.huawei.privatenumber import DIALECT
from schemas.platforms.huawei.privatenumber.settings import PrivateNumberSource
from schemas.vocabulary import TimelineType
from tests.building.pushes import a_push, an_event_read, canonical, sha256
from tests.building.samples import SAMPLES_OF_ALL

SAMPLES = SAMPLES_OF_ALL / "huawei_privatenumber"

SESSION = "1200_1827_4294967295_20190124023003@callenabler246.huaweicaas.com"
SESSION_AXE = "1202_1051_4294967295_20190124070250@callenabler246.huaweicaas.com"
BINDING = "1d39eaef-9279-4d18-b806-72e43ab3f85c"
A, B, X, Y = "+8613800000021", "+8613866887021", "+8613800000022", "+8617010000002"

Row = tuple[str, str, TimelineType, datetime, str, str, CallFields]


def a_source(**settings: Any) -> PrivateNumberSource:
    row = {"name": "huawei-bj", "platform": "huawei_privatenumber", "tokens": ["token"], **settings}
    return PrivateNumberSource.model_validate(row)


def an_event(event_type: str, **info: Any) -> dict[str, Any]:
    return {
        "eventType": event_type,
        "statusInfo": {"sessionId": SESSION, "timestamp": "2019-01-24 02:30:03", **info},
    }


def the_only_event(body: Any, **settings: Any) -> CallEvent:
    (parsed,) = DIALECT.parse(a_push(body), a_source(**settings))
    assert isinstance(parsed, Parsed)
    assert isinstance(parsed.body, CallEvent)
    return parsed.body


def at(clock: str) -> datetime:
    """Section 0, time zone: all `yyyy-MM-dd HH:mm:ss` strings are UTC."""
    return datetime.fromisoformat(f"2019-01-24T{clock}+00:00")


def told(**fields: Any) -> CallFields:
    return CallFields(product="privatenumber", **fields)


def hung_up() -> tuple[Code, ...]:
    """Table A, 0: hang-up after answer; docs/contract.md section 1: 0 is skipped, so it decides no outcome."""
    return (Code(name="state_code", value=0, outcome=None, text="hung up after answer"),)


def with_a_binding(mode: str, x: str) -> list[Row]:
    """AX, AXB, AXYB: section 1, rows caller and called (A dials X or Y, B sees it), subscriptionId in all five."""
    later = {"callee": B, "private_number": x, "binding_id": BINDING}
    first = told(caller=A, private_number=x, binding_id=BINDING, called_in_at=at("02:30:03"))
    return [
        (f"{mode}-event-callin.json", "callin", "incoming", at("02:30:03"), A, x, first),
        (f"{mode}-event-callout.json", "callout", "outgoing", at("02:30:03"), x, B,
         told(started_at=at("02:30:03"), **later)),
        (f"{mode}-event-alerting.json", "alerting", "ringing", at("02:30:04"), x, B,
         told(ringing_at=at("02:30:04"), **later)),
        (f"{mode}-event-answer.json", "answer", "answered", at("02:30:06"), x, B,
         told(answered_at=at("02:30:06"), **later)),
        (f"{mode}-event-disconnect.json", "disconnect", "ended", at("02:30:22"), x, B,
         told(ended_at=at("02:30:22"), codes=hung_up(), **later)),
    ]  # fmt: skip


# AXE: section 1, row subscriptionId: only once the extension is known, not on callin. B's number calls A here.
AXE_LATER: dict[str, Any] = {"callee": A, "private_number": X, "binding_id": BINDING}
AXE: list[Row] = [
    ("axe-event-callin.json", "callin", "incoming", at("07:02:50"), B, X,
     told(caller=B, private_number=X, called_in_at=at("07:02:50"))),
    ("axe-event-callout.json", "callout", "outgoing", at("07:02:59"), X, A,
     told(started_at=at("07:02:59"), **AXE_LATER)),
    ("axe-event-alerting.json", "alerting", "ringing", at("07:03:01"), X, A,
     told(ringing_at=at("07:03:01"), **AXE_LATER)),
    ("axe-event-answer.json", "answer", "answered", at("07:03:05"), X, A,
     told(answered_at=at("07:03:05"), **AXE_LATER)),
    ("axe-event-disconnect.json", "disconnect", "ended", at("07:03:28"), X, A,
     told(ended_at=at("07:03:28"), codes=hung_up(), **AXE_LATER)),
]  # fmt: skip

# X: section 1, rows notifyMode (its presence is the mode) and userData; no subscriptionId. No callin was published.
X_LATER: dict[str, Any] = {"mode": "X", "callee": B, "private_number": X, "user_data": "userflag001"}
X_MODE: list[Row] = [
    ("x-event-callout.json", "callout", "outgoing", at("02:30:03"), X, B,
     told(started_at=at("02:30:03"), **X_LATER)),
    ("x-event-alerting.json", "alerting", "ringing", at("02:30:04"), X, B,
     told(ringing_at=at("02:30:04"), **X_LATER)),
    ("x-event-answer.json", "answer", "answered", at("02:30:06"), X, B,
     told(answered_at=at("02:30:06"), **X_LATER)),
    ("x-event-disconnect.json", "disconnect", "ended", at("02:30:22"), X, B,
     told(ended_at=at("02:30:22"), codes=hung_up(), **X_LATER)),
]  # fmt: skip

GOLDEN = [*with_a_binding("ax", X), *with_a_binding("axb", X), *with_a_binding("axyb", Y), *AXE, *X_MODE]


@pytest.mark.parametrize("row", GOLDEN, ids=lambda row: row[0])
def test_a_published_event_is_read_as_its_page_says(row: Row) -> None:
    sample, platform_type, timeline_type, when, caller, called, call = row
    sent = (SAMPLES / sample).read_bytes()
    raw = json.loads(sent)
    session = SESSION_AXE if sample.startswith("axe") else SESSION
    kinds = (platform_type, timeline_type)
    expected = an_event_read(session, kinds, when, numbers=(caller, called), call=call, raw=raw)
    assert DIALECT.parse(a_push(sent), a_source()) == [expected]


def test_every_event_sample_has_its_expectation() -> None:
    events = [path.name for path in SAMPLES.glob("*-event-*.json") if "response" not in path.name]
    assert sorted(row[0] for row in GOLDEN) == sorted(events)


def test_a_callin_that_waits_for_an_answer_is_of_mode_x() -> None:
    """Sections 1 and 2: X mode's callin carries notifyMode Block and no subscriptionId."""
    event = the_only_event(an_event("callin", caller=A, called=X, notifyMode="Block"))
    assert event.call == told(mode="X", caller=A, private_number=X, called_in_at=at("02:30:03"))


def test_the_source_knows_the_mode_better() -> None:
    """docs/contract.md section 1, mode: the source's key overrides."""
    assert the_only_event(an_event("callin", notifyMode="Block"), mode="AXB").call.mode == "AXB"


def test_collected_digits_are_the_extension_with_its_zeros() -> None:
    """Section 1, row digitInfo: the digits keyed are extension E; caller and called are absent."""
    event = the_only_event(an_event("collectInfo", digitInfo="0012"))
    assert (event.type, event.platform_type, event.callee) == ("digits", "collectInfo", None)
    assert event.call == told(extension="0012")


def test_event_types_are_compared_ignoring_case() -> None:
    """Section 0, key case; table F, eventType."""
    event = the_only_event(an_event("DisConnect", stateCode=8102))
    assert (event.type, event.platform_type) == ("ended", "DisConnect")


def test_the_case_of_the_event_type_makes_no_second_key() -> None:
    keys = {DIALECT.parse(a_push(an_event(name)), a_source())[0].key for name in ("answer", "Answer")}  # type: ignore[union-attr]
    assert len(keys) == 1


def test_no_key_spells_a_phone_number() -> None:
    (parsed,) = DIALECT.parse(a_push(an_event("answer", caller=X, called=B)), a_source())
    assert isinstance(parsed, Parsed)
    assert "13866887021" not in parsed.key


def test_old_pushes_name_x_and_the_display_number_in_fields_of_their_own() -> None:
    """Section 1, row origCalleeNum, displayCallerNum."""
    event = the_only_event(an_event("callout", caller=A, called=B, origCalleeNum=X, displayCallerNum=Y))
    assert event.call == told(callee=B, private_number=X, display_number=Y, started_at=at("02:30:03"))


def test_an_empty_binding_is_none() -> None:
    """Section 1, row subscriptionId: may be empty if there is no binding (8014)."""
    event = the_only_event(an_event("callin", caller=A, called=X, subscriptionId=""))
    assert event.call.binding_id is None


@pytest.mark.parametrize("code", [8014, 8022, 7516])
def test_a_call_that_was_never_forwarded_has_no_callee(code: int) -> None:
    """Table A: no binding, binding expired, caller left before forwarding. The numbers stay on the event itself."""
    event = the_only_event(an_event("disconnect", caller=A, called=X, stateCode=code))
    assert (event.caller, event.callee) == (A, X)
    assert (event.call.callee, event.call.private_number) == (None, None)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({"stateCode": 8102}, Code(name="state_code", value=8102, outcome="busy", text="callee busy")),
        # 8106 and up were not seen: passed on, in the platform's own words
        ({"stateCode": 8999, "stateDesc": "New."}, Code(name="state_code", value=8999, text="New.")),
        ({"stateCode": "8102"}, Code(name="state_code", value="8102", outcome="busy", text="callee busy")),
        ({"stateCode": "gone"}, Code(name="state_code", value="gone")),
    ],
)  # fmt: skip
def test_a_state_code_keeps_its_value_and_gets_its_meaning(sent: dict[str, Any], expected: Code) -> None:
    assert the_only_event(an_event("disconnect", **sent)).call.codes == (expected,)


@pytest.mark.parametrize("sent", [{}, {"stateCode": None}, {"stateCode": ""}, {"stateCode": [1]}, {"stateCode": True}])
def test_what_is_no_code_is_only_kept_raw(sent: dict[str, Any]) -> None:
    event = the_only_event(an_event("disconnect", **sent))
    assert event.call.codes == ()
    assert event.raw == an_event("disconnect", **sent)


def test_numbers_are_normalised_and_unknown_fields_kept() -> None:
    """docs/contract.md section 1, Numbers; an integer counts as its digits."""
    body = {**an_event("callin", caller=13800000021, called="01085550000", newField=[1]), "pushId": "p1"}
    event = the_only_event(body)
    assert (event.caller, event.callee) == ("+8613800000021", "+861085550000")
    assert event.raw == body


def test_an_event_without_a_time_is_kept() -> None:
    event = the_only_event({"eventType": "answer", "statusInfo": {"sessionId": SESSION}})
    assert event.at is None


def test_a_time_with_fraction_and_zone_mark_is_utc_too() -> None:
    event = the_only_event(an_event("answer", timestamp="2019-01-24T02:30:03.5Z"))
    assert event.at == datetime(2019, 1, 24, 2, 30, 3, 500_000, tzinfo=UTC)


def test_an_unknown_event_type_is_kept_raw_in_its_session() -> None:
    body = an_event("transfer", caller=A)
    sent = json.dumps(body).encode()
    assert DIALECT.parse(a_push(sent), a_source()) == [
        Parsed(
            kind="other",
            session_id=SESSION,
            key=f"other|{hashlib.sha256(sent).hexdigest()}",
            fingerprint=sha256(canonical(body)),
            body=Other(raw=body),
        )
    ]
