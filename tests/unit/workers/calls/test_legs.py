"""What an event proves beside a CDR: nothing where it is not tied to the callee's leg (docs/contract.md section 1)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Any

import pytest

from schemas.envelope import JsonObject
from schemas.facts import CallEvent, CallFields, Cdr, Code, Fact, Leg
from tests.building.facts import CALL, T0, a_fact, seconds
from tests.building.records import record_of

A, B, OTHER = "+8613100000021", "+8613200000022", "+8613300000033"
CALLED_B = ("13200000022", "8613200000022", "008613200000022", "+86 132-0000-0022", "0086 132 0000 0022")
NOBODY = Code(name="sip", value=480, outcome="no_answer")
SILENT = Code(name="fail_code", value=518)  # says only that some leg failed


def an_answer(callee: str | None, *, at: float = 51, leg: str | None = None, kind: Any = "answered") -> Fact:
    moment = T0 + seconds(at)
    call = CallFields(answered_at=moment) if kind == "answered" else CallFields(ringing_at=moment)
    event = CallEvent(type=kind, platform_type="x", at=moment, leg=leg, callee=callee, call=call, raw={})
    return a_fact("call_event", f"event|s1|{kind}|{callee}|{at}", event, told=1, session="s1")


def two_legs(
    *,
    a: str | None = A,
    b: str | None = B,
    a_answered: float | None = 51,
    b_answered: float | None = None,
    codes: tuple[Code, ...] = (SILENT, NOBODY),
) -> Fact:
    """The CDR of a call that called A, then B."""
    legs = (
        Leg(name="a", number=a, started_at=T0, answered_at=moment_of(a_answered)),
        Leg(name="b", number=b, started_at=T0 + seconds(51), answered_at=moment_of(b_answered)),
    )
    call = CallFields(caller=a, callee=b, answered_at=moment_of(b_answered), ended_at=T0 + seconds(80), codes=codes)
    implies = ("answered.a",) if a_answered else ()
    return a_fact("cdr", "cdr|s1|r1", Cdr(record_id="r1", call=call, legs=legs, implies=implies), told=2, session="s1")


def one_leg(*, callee: str | None = B, codes: tuple[Code, ...] = (), **call: Any) -> Fact:
    """A CDR of a platform that tells of the callee's leg alone."""
    told = CallFields(caller=A, callee=callee, ended_at=T0 + seconds(80), codes=codes, **call)
    return a_fact("cdr", "cdr|s1|r1", Cdr(record_id="r1", call=told), told=2, session="s1")


@pytest.mark.parametrize("nobody", ["", "-"])
def test_a_leg_without_a_number_is_nobodys(nobody: str) -> None:
    """As facts of older versions hold it: two legs of blanks were one number, so the caller's answer was billed."""
    record = the_record([an_answer(nobody), one_leg(callee=nobody)])
    assert (record["answered"], record["talk_seconds"]) == (False, None)


def moment_of(told: float | None) -> Any:
    return None if told is None else T0 + seconds(told)


def the_record(facts: Sequence[Fact]) -> JsonObject:
    """The same in any order."""
    records = [record_of(order) for order in permutations(facts)]
    assert all(record == records[0] for record in records)
    return records[0]


@pytest.mark.parametrize(
    ("event", "cdr", "leg"),
    [
        (an_answer(None), two_legs(), "a"),
        (an_answer(A), two_legs(), "a"),
        (an_answer("8613100000021"), two_legs(), "a"),
        (an_answer("0086 131 0000 0021"), two_legs(), "a"),
        (an_answer("131-0000-0021"), two_legs(), "a"),
        (an_answer(A), two_legs(a=None), "a"),
        (an_answer(A), two_legs(a=None, b=None), "a"),
        (an_answer(A, at=50), two_legs(a=None), None),
        (an_answer(None, at=50), two_legs(), None),
        (an_answer(OTHER), two_legs(), None),
        (an_answer(OTHER, at=50), two_legs(codes=(SILENT,)), None),
        (an_answer(None), two_legs(codes=()), "a"),
    ],
)
def test_an_answer_that_is_not_the_callees_proves_nothing_beside_a_cdr(event: Fact, cdr: Fact, leg: str | None) -> None:
    record = the_record([event, cdr])
    told = NOBODY in cdr.body.call.codes  # type: ignore[union-attr]
    assert (record["answered"], record["answered_at"], record["talk_seconds"]) == (False, None, 0 if told else None)
    assert record["outcome"] == ("no_answer" if told else "unknown")
    assert [row["leg"] for row in record["timeline"]] == [leg]
    assert record["missing"] == ([] if leg == "a" else ["answered"])


@pytest.mark.parametrize("called", [B, *CALLED_B])
def test_an_answer_of_the_callee_proves_itself_unless_the_cdr_denies_it(called: str) -> None:
    shown = the_record([an_answer(called, at=60), two_legs(codes=(SILENT,))])
    assert (shown["answered"], shown["answered_at"], shown["talk_seconds"]) == (True, T0 + seconds(60), 20)
    assert shown["timeline"][0]["leg"] == "b"
    denied = the_record([an_answer(called, at=60), two_legs()])
    assert (denied["answered"], denied["answered_at"], denied["outcome"]) == (False, None, "no_answer")


@pytest.mark.parametrize("called", [B, *CALLED_B])
def test_where_the_cdr_has_one_leg_its_number_tells_it(called: str) -> None:
    assert the_record([an_answer(called), one_leg()])["answered"] is True
    assert the_record([an_answer(called, kind="ringing"), one_leg()])["ringing_at"] == T0 + seconds(51)


@pytest.mark.parametrize("cdr", [one_leg(callee=None), one_leg(callee=OTHER), one_leg(callee="")])
def test_where_it_names_no_callee_or_another_one_nothing_is_proved(cdr: Fact) -> None:
    for called in (None, B):
        record = the_record([an_answer(called), an_answer(called, kind="ringing", at=40), cdr])
        assert (record["answered"], record["answered_at"], record["ringing_at"]) == (False, None, None)


def test_an_event_that_names_its_leg_is_tied_by_that() -> None:
    assert the_record([an_answer(None, leg="b"), one_leg(callee=None)])["answered"] is True
    assert the_record([an_answer(None, leg="a"), one_leg(callee=None)])["answered"] is False


def test_a_duration_of_nothing_denies_an_answer() -> None:
    record = the_record([an_answer(B, leg="b"), one_leg(talk_seconds=0)])
    assert (record["answered"], record["answered_at"], record["talk_seconds"]) == (False, None, 0)


def test_what_the_cdr_tells_itself_no_event_changes() -> None:
    cdr = one_leg(ringing_at=CALL.ringing_at, answered_at=CALL.answered_at)
    record = the_record([an_answer(None), an_answer(OTHER, kind="ringing"), cdr])
    assert (record["answered"], record["answered_at"], record["ringing_at"]) == (
        True,
        CALL.answered_at,
        CALL.ringing_at,
    )


def test_an_event_is_tied_to_no_leg_by_a_moment_that_both_have() -> None:
    record = the_record([an_answer(None), two_legs(b_answered=51, codes=())])
    assert (record["answered"], record["timeline"][0]["leg"]) == (True, None)


def test_without_a_cdr_an_answer_counts_but_that_of_who_was_called_first() -> None:
    first = CallEvent(type="ended", platform_type="x", at=None, call=CallFields(caller="86 131 0000 0021"), raw={})
    ended = a_fact("call_event", "event|s1|ended", first, told=1, session="s1")
    untimed = CallEvent(type="answered", platform_type="x", at=None, callee=A, raw={})
    of_a = a_fact("call_event", "event|s1|answered", untimed, told=1, session="s1")
    assert the_record([ended, of_a])["answered"] is False
    assert the_record([an_answer(None)])["answered"] is True
    assert the_record([an_answer(B)])["answered"] is True


def test_of_two_cdrs_one_that_is_tied_and_silent_is_enough() -> None:
    second = a_fact("cdr", "cdr|s1|r2", Cdr(record_id="r2", call=CallFields(callee=B)), told=3, session="s1")
    assert the_record([an_answer(B), one_leg(callee=OTHER, codes=(NOBODY,)), second])["answered"] is True
    assert the_record([an_answer(B), one_leg(codes=(NOBODY,)), one_leg(callee=None)])["answered"] is False
