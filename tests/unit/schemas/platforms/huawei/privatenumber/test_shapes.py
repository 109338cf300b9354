"""What else PrivateNumber pushes, told apart by shape, and that the address it came to makes no difference.

Sections are those of docs/protocols/huawei-privatenumber.md.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

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
        {"numberState": 1, "virtualNumber": X},
        {"appKey": "k", "privateNumStatus": [{"privateNum": X, "status": "arrears"}]},
        {"eventType": "numberStatus", "statusInfo": {"number": X, "state": 2}},
        {"eventType": 7},
        {"eventType": "xState", "statusInfo": "?"},
        {"eventType": "xState", "statusInfo": {"sessionId": ""}},
    ],
)
def test_a_number_state_is_what_has_none_of_the_known_shapes(body: dict[str, Any]) -> None:
    """Section 5 names a mark that is not looked for: no eventType of a call, no feeLst, no smsEvent, so raw."""
    sent = json.dumps(body).encode()
    assert DIALECT.parse(a_push(sent), SOURCE) == [
        Parsed(
            kind="number_state",
            session_id="",
            key=f"number_state|{hashlib.sha256(sent).hexdigest()}",  # docs/design.md section 5: anything else
            fingerprint=hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest(),
            body=NumberState(raw=body),
        )
    ]


def test_two_states_of_one_number_are_two_facts() -> None:
    keys = {the_only_one({"virtualNumber": X, "state": state}).key for state in (0, 1)}
    assert len(keys) == 2


@pytest.mark.parametrize(
    ("body", "session"),
    [
        ({"eventType": "transfer", "statusInfo": {"sessionId": "s1", "caller": X}}, "s1"),
        ({"eventType": "transfer", "statusInfo": {"sessionId": 7}}, "7"),
        ({"eventType": "transfer", "statusInfo": {"sessionId": 7.5}}, ""),
        ({"eventType": "transfer", "statusInfo": {"sessionId": "s" * 257}}, ""),
        ({"statusInfo": {"sessionId": "s1"}}, "s1"),
        ({"feeLst": []}, ""),
        ({"feeLst": None}, ""),
        ({}, ""),
    ],
)
def test_whatever_else_is_kept_raw_in_the_session_it_names(body: dict[str, Any], session: str) -> None:
    parsed = the_only_one(body)
    assert (parsed.kind, parsed.session_id, parsed.body) == ("other", session, Other(raw=body))


@pytest.mark.parametrize("sample", sorted(path.name for path in SAMPLES.glob("*.json")))
def test_the_address_makes_no_difference(sample: str) -> None:
    """Section 0, a separate callin URL: the events of one call may arrive at two endpoints of one source."""
    sent = (SAMPLES / sample).read_bytes()
    one = DIALECT.parse(a_push(sent, "/status"), SOURCE)
    other = DIALECT.parse(replace(a_push(sent, "/callin?x=1"), remote="192.0.2.2"), SOURCE)
    assert one == other


@pytest.mark.parametrize(("sent", "session"), [("42", "42"), (42, "42"), (2**64 - 1, "18446744073709551615")])
def test_ids_may_be_numbers_and_lose_no_figure(sent: Any, session: str) -> None:
    """Section 1: sessionId and subscriptionId are strings; up to 64 bits no reader of ours rounds them."""
    event = the_only_one({"eventType": "answer", "statusInfo": {"sessionId": sent, "subscriptionId": 9007199254740993}})
    cdr = the_only_one({"eventType": "fee", "feeLst": [{"sessionId": sent, "icid": sent, "userData": 1}]})
    assert (event.session_id, cdr.session_id, cdr.key) == (session, session, f"cdr|{session}|{session}")
    assert event.body.call.binding_id == "9007199254740993"  # type: ignore[union-attr]
    assert cdr.body.call.user_data == "1"  # type: ignore[union-attr]
