"""The records that the published pushes of each mode make, in whatever order: expectations are written by hand.

Sections are those of docs/protocols/huawei-privatenumber.md; outcomes and fields are those of docs/contract.md section
1.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.facts import Announced, Cdr, Fact, Parsed
from schemas.platforms.huawei.privatenumber import DIALECT
from schemas.platforms.huawei.privatenumber.settings import PrivateNumberSource
from tests.building.pushes import a_push, fact_of
from tests.building.records import record_of
from tests.building.samples import SAMPLES_OF_ALL

SAMPLES = SAMPLES_OF_ALL / "huawei_privatenumber"
SOURCE = PrivateNumberSource.model_validate(
    {"name": "huawei-bj", "platform": "huawei_privatenumber", "tokens": ["token"]}
)
TOLD_AT = datetime(2019, 1, 24, 2, 30, tzinfo=UTC)

SESSION = "1200_1827_4294967295_20190124023003@callenabler246.huaweicaas.com"
SESSION_AXE = "1202_1051_4294967295_20190124070250@callenabler246.huaweicaas.com"
A, B, X, Y = "+8613800000021", "+8613866887021", "+8613800000022", "+8617010000002"

# Section 2: no callin of X mode was published, so this one is made from the page's words.
X_CALL_IN = {
    "eventType": "callin",
    "statusInfo": {
        "sessionId": SESSION, "timestamp": "2019-01-24 02:30:03", "caller": A, "called": X, "notifyMode": "Block",
    },
}  # fmt: skip


def facts_of(*bodies: Any) -> list[Fact]:
    """Each push one second after the one before."""
    facts = []
    for n, body in enumerate(bodies):
        for parsed in DIALECT.parse(a_push(body), SOURCE):
            assert isinstance(parsed, Parsed)
            facts.append(fact_of(parsed, SOURCE, at=TOLD_AT + timedelta(seconds=n), fact_id=str(n)))
    return facts


def samples_of(mode: str) -> list[Any]:
    events = [SAMPLES / f"{mode}-event-{name}.json" for name in ("callin", "callout", "alerting", "answer")]
    pushes: list[Any] = [path.read_bytes() for path in events if path.exists()]
    last = [(SAMPLES / f"{mode}-{name}.json").read_bytes() for name in ("event-disconnect", "fee")]
    return [*([X_CALL_IN] if mode == "x" else []), *pushes, *last]


def recorded(*bodies: Any) -> dict[str, Any]:
    return record_of(facts_of(*bodies))


def at(clock: str) -> datetime:
    """Section 0, time zone: all strings are UTC."""
    return datetime.fromisoformat(f"2019-01-24T{clock}+00:00")


def an_event(event_type: str, clock: str, **info: Any) -> dict[str, Any]:
    return {"eventType": event_type, "statusInfo": {"sessionId": "s1", "timestamp": f"2019-01-24 {clock}", **info}}


def a_fee(**fields: Any) -> dict[str, Any]:
    return {"eventType": "fee", "feeLst": [{"sessionId": "s1", "icid": "r1", "serviceType": "004", **fields}]}


ANSWERED: dict[str, Any] = {
    "session_id": SESSION, "product": "privatenumber", "direction": "a_to_b", "caller": A, "callee": B,
    "private_number": X, "display_number": X, "extension": None, "user_data": None,
    "called_in_at": at("02:30:03"), "started_at": at("02:30:03"), "ringing_at": at("02:30:04"),
    "answered_at": at("02:30:06"), "ended_at": at("02:30:22"),
    "ring_seconds": 2, "talk_seconds": 16, "answered": True, "outcome": "answered", "complete": True, "missing": [],
}  # fmt: skip
RECORDS: dict[str, dict[str, Any]] = {
    "ax": {**ANSWERED, "mode": "AX"},
    "axb": {**ANSWERED, "mode": "AXB"},
    "axyb": {**ANSWERED, "mode": "AXYB", "private_number": Y, "display_number": Y},
    "axe": {
        **ANSWERED, "mode": "AXE", "session_id": SESSION_AXE, "direction": "b_to_a", "caller": B, "callee": A,
        "extension": "0012", "called_in_at": at("07:02:50"), "started_at": at("07:02:59"),
        "ringing_at": at("07:03:01"), "answered_at": at("07:03:05"), "ended_at": at("07:03:28"),
        "ring_seconds": 4, "talk_seconds": 23,
    },
    "x": {**ANSWERED, "mode": "X", "user_data": "userflag001"},
}  # fmt: skip


def test_every_mode_has_its_record() -> None:
    assert set(RECORDS) == {path.name.split("-")[0] for path in SAMPLES.glob("*-fee.json")}


@pytest.mark.parametrize("mode", RECORDS)
def test_the_pushes_of_each_mode_make_a_whole_record(mode: str) -> None:
    record = recorded(*samples_of(mode))
    assert {name: record[name] for name in RECORDS[mode]} == RECORDS[mode]
    assert [row["type"] for row in record["timeline"]] == ["incoming", "outgoing", "ringing", "answered", "ended"]
    assert [row["state"] for row in record["recordings"]] == ["wanted"]


@given(data=st.data())
@pytest.mark.parametrize("mode", RECORDS)
def test_no_order_and_no_repetition_changes_the_record(mode: str, data: st.DataObject) -> None:
    facts = facts_of(*samples_of(mode))
    told = data.draw(st.permutations([*facts, *data.draw(st.lists(st.sampled_from(facts), max_size=4))]))
    record = record_of(told)
    assert record == recorded(*samples_of(mode))


def test_without_the_question_the_record_of_x_mode_lacks_its_first_event() -> None:
    """Section 0: callin can be routed to an address of its own, which may not be ours."""
    record = recorded(*samples_of("x")[1:])
    assert (record["missing"], record["caller"]) == (["incoming"], A)


def test_collected_digits_stand_in_the_timeline_and_are_the_extension() -> None:
    """Section 1, AXE: callin, collectInfo, then callout with the binding; and the caller gave up before it rang."""
    record = recorded(
        an_event("callin", "02:30:03", caller=B, called=X),
        an_event("collectInfo", "02:30:08", digitInfo="0012"),
        an_event("callout", "02:30:09", caller=X, called=A, subscriptionId="b1"),
        an_event("disconnect", "02:30:11", caller=X, called=A, subscriptionId="b1", stateCode=7501),
    )
    assert [row["type"] for row in record["timeline"]] == ["incoming", "digits", "outgoing", "ended"]
    assert (record["extension"], record["caller"], record["callee"]) == ("0012", B, A)
    assert (record["outcome"], record["missing"]) == ("cancelled", ["cdr"])


def test_an_unanswered_call_with_all_zero_codes_is_unknown_until_an_event_says_why() -> None:
    """Section 3: unanswered calls do produce a CDR; fwdAlertingTime and fwdAnswerTime are absent."""
    fee = a_fee(
        direction=1, callerNum=A, calleeNum=X, bindNum=X, fwdDstNum=B, callInTime="2019-01-24 02:30:03",
        fwdStartTime="2019-01-24 02:30:04", callEndTime="2019-01-24 02:30:09", fwdUnaswRsn=0, ulFailReason=0,
        sipStatusCode=0, callOutUnaswRsn=0, recordFlag=0,
    )  # fmt: skip
    bare = recorded(fee)
    assert (bare["answered"], bare["outcome"], bare["talk_seconds"], bare["ring_seconds"]) == (
        False,
        "unknown",
        None,
        None,
    )
    assert bare["missing"] == ["incoming", "outgoing", "ended"]
    told = recorded(fee, an_event("disconnect", "02:30:09", caller=X, called=B, stateCode=8104))
    assert (told["outcome"], told["callee"], told["missing"]) == ("unreachable", B, ["incoming", "outgoing"])


def test_a_call_without_a_binding_is_blocked_and_has_no_callee() -> None:
    """Section 3, rows direction (2) and subscriptionId (empty, expect 8014)."""
    record = recorded(
        an_event("callin", "02:30:03", caller=A, called=X, subscriptionId=""),
        an_event("disconnect", "02:30:05", caller=A, called=X, stateCode=8014),
        a_fee(
            direction=2, callerNum=A, calleeNum=X, bindNum=X, subscriptionId="", ulFailReason=8014,
            callInTime="2019-01-24 02:30:03", callEndTime="2019-01-24 02:30:05",
        ),
    )  # fmt: skip
    assert (record["direction"], record["outcome"], record["complete"]) == ("abnormal", "blocked", True)
    assert (record["caller"], record["callee"], record["private_number"]) == (A, None, X)


def test_a_handset_that_redials_makes_two_records_of_which_one_has_no_times() -> None:
    """Section 0, links: different call-record id; bill both, show the one that was answered."""
    answered = a_fee(icid="r2", fwdAnswerTime="2019-01-24 02:30:06", callEndTime="2019-01-24 02:30:22", fwdDstNum=B)
    record = recorded(a_fee(icid="r1", ulFailReason=8102), answered)
    assert [row["record_id"] for row in record["cdrs"]] == ["r2", "r1"]
    assert (record["outcome"], record["talk_seconds"]) == ("answered", 16)


NAME, DOMAIN, LINK = "a.wav", "ostor.example.com", "https://ostor.example.com/a.wav"


@pytest.mark.parametrize(
    ("sent", "announced", "state"),
    [
        ((NAME, DOMAIN, LINK), Announced(name=NAME, domain=DOMAIN, url=LINK), "wanted"),
        (("", DOMAIN, LINK), Announced(domain=DOMAIN, url=LINK), "wanted"),
        ((NAME, "", LINK), Announced(name=NAME, url=LINK), "wanted"),
        (("", "", LINK), Announced(url=LINK), "wanted"),
        (("", DOMAIN, ""), Announced(domain=DOMAIN), "failed"),
        (("", "", ""), Announced(), "failed"),
    ],
)
def test_the_download_link_serves_where_name_or_domain_is_empty(
    sent: tuple[str, str, str], announced: Announced, state: str
) -> None:
    """Section 3, rows recordObjectName, recordDomain (may be empty -> use recordFileDownloadUrl)."""
    name, domain, link = sent
    fee = a_fee(recordFlag=1, recordObjectName=name, recordDomain=domain, recordFileDownloadUrl=link)
    (fact,) = facts_of(fee)
    assert isinstance(fact.body, Cdr)
    assert fact.body.recordings == (announced,)
    assert [row["state"] for row in recorded(fee)["recordings"]] == [state]
