"""What else PrivateNumber pushes, told apart by shape, and that the address it came to makes no difference.

Sections are those of docs/protocols/huawei-privatenumber.md.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

from schemas.errors import Malformed
from schemas.facts import NumberState, Other, Parsed
from schemas.platforms.huawei.privatenumber import DIALECT
from schemas.platforms.huawei.privatenumber.settings import PrivateNumberSource
from tests.building.pushes import a_push
from tests.building.samples import SAMPLES_OF_ALL

SAMPLES = SAMPLES_OF_ALL / "huawei_privatenumber"
SOURCE = PrivateNumberSource.model_validate(
    {"name": "huawei-bj", "platform": "huawei_privatenumber", "tokens": ["token"]}
)
X = "+8613800000022"


def the_only_one(body: Any) -> Parsed:
    (parsed,) = DIALECT.parse(a_push(body), SOURCE)
    assert isinstance(parsed, Parsed)
    return parsed


@pytest.mark.parametrize(
    "body",
    [
        {"eventType": "numberStatus", "statusInfo": {"number": X, "state": 2}},
        {"eventType": "xState", "statusInfo": "?"},
        {"eventType": "xState", "statusInfo": {"sessionId": ""}},
    ],
)
def test_what_has_a_mark_that_nobody_knows_is_never_told_as_a_number_state(body: dict[str, Any]) -> None:
    sent = json.dumps(body).encode()
    assert DIALECT.parse(a_push(sent), SOURCE) == [
        Parsed(
            kind="other",
            session_id="",
            key=f"other|{hashlib.sha256(sent).hexdigest()}",  # docs/design.md section 5: anything else
            fingerprint=hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest(),
            body=Other(raw=body),
        )
    ]


ONE, TWO = {"number": X, "status": "9", "cause": "2"}, {"number": "17000000051", "status": 5, "cause": ""}


def test_a_push_of_number_states_is_one_fact_for_each_number() -> None:
    """Section 5: one push may carry several numbers."""
    push = {"eventType": "numStatus", "numInfo": [ONE, TWO]}
    one, two = DIALECT.parse(a_push(push), SOURCE)
    assert isinstance(one, Parsed)
    assert isinstance(two, Parsed)
    assert (one.body, two.body) == tuple(NumberState(raw={**push, "numInfo": [info]}) for info in (ONE, TWO))
    assert (one.kind, two.kind, one.session_id, two.session_id) == ("number_state", "number_state", "", "")
    assert one.key != two.key
    assert [one] == DIALECT.parse(a_push({**push, "numInfo": [ONE]}), SOURCE)


def test_states_told_together_are_those_told_alone_and_none_carries_what_else_their_push_holds() -> None:
    """A thousand numbers beside a megabyte would make a gigabyte."""
    push = {"eventType": "numStatus", "appKey": "k" * 1000}
    together = DIALECT.parse(a_push({**push, "numInfo": [ONE, TWO]}), SOURCE)
    alone = [the_only_one({**push, "numInfo": info}) for info in (ONE, TWO)]
    assert [(one.key, one.fingerprint) for one in together if isinstance(one, Parsed)] == [
        (one.key, one.fingerprint) for one in alone
    ]
    assert alone[0].body == NumberState(raw={**push, "numInfo": [ONE]})
    assert len(json.dumps([one.body.raw for one in together if isinstance(one, Parsed)])) < 300  # type: ignore[union-attr]


@pytest.mark.parametrize("event_type", ["numStatus", "NUMSTATUS", " numstatus "])
def test_one_state_may_come_as_an_object(event_type: str) -> None:
    one = the_only_one({"eventType": event_type, "numInfo": ONE})
    assert (one.kind, one.body) == ("number_state", NumberState(raw={"eventType": event_type, "numInfo": [ONE]}))


@pytest.mark.parametrize(
    ("info", "reasons"),
    [([], ["no_number"]), (None, ["no_number"]), ([ONE, {"status": 5}], ["", "no_number"]), ([7], ["no_number"])],
)
def test_a_state_of_no_number_is_refused_alone(info: Any, reasons: list[str]) -> None:
    items = DIALECT.parse(a_push({"eventType": "numStatus", "numInfo": info}), SOURCE)
    assert [getattr(item, "reason", "") for item in items] == reasons


def test_more_states_than_any_push_has_are_refused_as_a_whole() -> None:
    with pytest.raises(Malformed, match="long_num_info"):
        DIALECT.parse(a_push({"eventType": "numStatus", "numInfo": [ONE] * 1001}), SOURCE)


@pytest.mark.parametrize("more", [{}, {"eventType": "fee"}, {"eventType": ""}])
def test_a_cdr_without_its_envelope_is_a_cdr(more: dict[str, Any]) -> None:
    record = {"sessionId": "s1", "icid": "r1", "callInTime": "2026-11-20 05:24:57", **more}
    one = the_only_one(record)
    assert (one.kind, one.session_id, one.key) == ("cdr", "s1", "cdr|s1|r1")
    assert the_only_one({"eventType": "transfer", **record}).kind == "other" if not more else True


@pytest.mark.parametrize(
    ("body", "session"),
    [
        ({"eventType": "transfer", "statusInfo": {"sessionId": "s1", "caller": X}}, "s1"),
        ({"eventType": "transfer", "statusInfo": {"sessionId": 7}}, "7"),
        ({"eventType": "transfer", "statusInfo": {"sessionId": 7.5}}, ""),
        ({"eventType": "transfer", "statusInfo": {"sessionId": "s" * 257}}, ""),
        ({"statusInfo": {"sessionId": "s1"}}, "s1"),
        ({"sessionId": "s1"}, "s1"),
    ],
)
def test_whatever_else_is_kept_raw_in_the_session_it_names(body: dict[str, Any], session: str) -> None:
    parsed = the_only_one(body)
    assert (parsed.kind, parsed.session_id, parsed.body) == ("other", session, Other(raw=body))


@pytest.mark.parametrize(
    "body",
    [
        {"中文": "错误"},
        {"numberState": 1, "virtualNumber": X},
        {"appKey": "k", "privateNumStatus": [{"privateNum": X, "status": "arrears"}]},
        {"eventType": 7},
        {"numInfo": [{"number": X, "status": 9}]},
        {"sessionId": "s" * 257},
        {"feeLst": []},
        {"feeLst": None},
        {},
    ],
)
def test_what_says_neither_what_it_is_nor_of_which_call_is_set_aside(body: dict[str, Any]) -> None:
    """It became an event of no call, under a subject that all such shared."""
    (found,) = DIALECT.parse(a_push(body), SOURCE)
    assert isinstance(found, Malformed)
    assert found.reason == "unknown_push"


@pytest.mark.parametrize("sample", sorted(path.name for path in SAMPLES.glob("*.json")))
def test_the_address_makes_no_difference(sample: str) -> None:
    """Section 0, a separate callin URL: the events of one call may arrive at two endpoints of one source."""
    sent = (SAMPLES / sample).read_bytes()
    one = DIALECT.parse(a_push(sent, "/status"), SOURCE)
    other = DIALECT.parse(replace(a_push(sent, "/callin?x=1"), remote="192.0.2.2"), SOURCE)
    assert list(map(repr, one)) == list(map(repr, other))


@pytest.mark.parametrize(("sent", "session"), [("42", "42"), (42, "42"), (2**64 - 1, "18446744073709551615")])
def test_ids_may_be_numbers_and_lose_no_figure(sent: Any, session: str) -> None:
    """Section 1: sessionId and subscriptionId are strings; up to 64 bits no reader of ours rounds them."""
    event = the_only_one({"eventType": "answer", "statusInfo": {"sessionId": sent, "subscriptionId": 9007199254740993}})
    cdr = the_only_one({"eventType": "fee", "feeLst": [{"sessionId": sent, "icid": sent, "userData": 1}]})
    assert (event.session_id, cdr.session_id, cdr.key) == (session, session, f"cdr|{session}|{session}")
    assert event.body.call.binding_id == "9007199254740993"  # type: ignore[union-attr]
    assert cdr.body.call.user_data == "1"  # type: ignore[union-attr]
