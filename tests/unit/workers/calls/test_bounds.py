"""What finds room in a session: the same in any order, and a CDR always, whoever filled it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.envelope import Kind
from schemas.facts import Announced, CallEvent, Fact, FactKind, KindOfFact
from tests.building.facts import (
    T0,
    a_cdr,
    a_decision,
    a_fact,
    a_stored_recording,
    all_events,
    an_event,
    an_sms,
    kept,
    seconds,
)
from tests.building.records import CALL_RECORD, record_of
from tests.building.states import come_back
from tests.building.story import PATIENCE, Story
from workers.calls.bounds import ROOMS, hold, sent_back
from workers.calls.changes import changed
from workers.calls.kept import KeptFact, kept_fact
from workers.calls.merge import build_record
from workers.calls.session import Session, encode_session, version_key, winners
from workers.calls.sms import sms_step
from workers.calls.step import step

KIB = 1024
MIB = 1024 * KIB
EMPTY = Session(facts={})


def an_event_of(n: int, *, raw: int = 0, text: int = 0, told: float | None = None) -> Fact:
    """The nth digits event, `raw` KiB long, and with a text of so many KiB beside it."""
    at = T0 + seconds(n)
    body = CallEvent(
        type="digits", platform_type="x", at=at, caller="c" * text * KIB, callee=str(n), raw={"pad": "p" * raw * KIB}
    )
    return a_fact("call_event", f"event|s1|digits|{n}", body, told=n if told is None else told, session="s1")


def a_cdr_of(n: int, *, raw: int = 0, text: int = 0, told: float | None = None) -> Fact:
    pad = {"pad": f"{n}" + "p" * raw * KIB}
    return a_cdr(f"r{n}", told=n if told is None else told, raw=pad, user_data="u" * text * KIB, implies=())


MANY = [
    *(an_event_of(n, raw=(n % 3) * 30) for n in range(20)),
    *(an_event_of(n, text=50) for n in range(20, 27)),
    *(an_event_of(n, raw=60, told=n + 7) for n in range(4)),
    *(a_cdr_of(n, raw=(n % 3) * 30) for n in range(14)),
    *(a_cdr_of(n, text=55) for n in range(14, 26)),
    *(replace(a_cdr_of(n, raw=60), at=T0 + seconds(20 - n)) for n in range(3)),
    a_decision("call", told=3),
    a_stored_recording("k1"),
]


def held_after(facts: Sequence[Fact], cuts: Sequence[int] = ()) -> Session:
    """The session that took these facts in so many batches, each time as its store gave it back."""
    session, start = EMPTY, 0
    for end in (*sorted(cuts), len(facts)):
        batch = [kept(fact) for fact in facts[start:end]]
        session, start = come_back(hold(session, batch).session), end
    return session


def told_of(session: Session) -> bytes:
    """All that counts of it, whatever the order in which it is kept."""
    record = build_record(winners(session.facts), call_events=True, cut=session.cut)
    facts = {version: fact.identity | {"id": ""} for version, fact in session.facts.items()}
    full = {kind: list(place) for kind, place in session.full.items()}
    return orjson.dumps([record, facts, full, session.cut], option=orjson.OPT_SORT_KEYS)


EXPECTED = told_of(held_after(MANY))


NUMBERS = range(len(MANY))


@given(
    st.permutations(NUMBERS),
    st.lists(st.sampled_from(NUMBERS), max_size=10),
    st.lists(st.sampled_from(NUMBERS), max_size=12),
)
@settings(max_examples=60, deadline=None)
def test_any_order_grouping_and_repetition_leaves_out_the_same(
    order: list[int], more: list[int], cuts: list[int]
) -> None:
    assert told_of(held_after([MANY[n] for n in (*order, *more)], cuts)) == EXPECTED


def test_the_pool_of_these_facts_reaches_every_limit_of_bytes() -> None:
    session = held_after(MANY)
    thin = {fact.kind for fact in session.facts.values() if "raw_bytes" in fact.identity}
    assert thin == {"cdr", "call_event"} == session.full.keys()
    record = orjson.loads(EXPECTED)[0]
    assert record["repaired"] == ["cut"]
    assert 20 < len(record["timeline"]) < 27
    assert {len(row["raw"]) for row in record["timeline"]} == {0, 1}
    CALL_RECORD.validate_python(record, strict=True)


@pytest.mark.parametrize("seed", range(4))
def test_where_there_are_too_many_the_first_ones_stay_in_any_order(seed: int) -> None:
    facts = [*(an_event_of(n) for n in range(310)), *(a_cdr_of(n) for n in range(110))]
    random.Random(seed).shuffle(facts)  # noqa: S311 - no secret
    session = held_after(facts, [50, 99, 200, 390])
    assert Counter(fact.kind for fact in session.facts.values()) == {"call_event": 300, "cdr": 100}
    assert told_of(session) == told_of(held_after(sorted(facts, key=lambda fact: fact.at)))
    assert {row["callee"] for row in orjson.loads(told_of(session))[0]["timeline"]} == set(map(str, range(300)))


def test_no_flood_of_events_takes_the_room_of_a_cdr() -> None:
    story = Story().told([an_event_of(n, raw=60) for n in range(400)], at=400)
    story.told([a_cdr(told=401, user_data="mine", raw={"icid": "r1", "fee": 7})], at=401).waits(until=404)
    (event,) = story.said
    call = event["data"]["call"]
    assert (event["type"], call["talk_seconds"], call["user_data"]) == ("callstitch.call.completed.v1", 60, "mine")
    assert (call["cdrs"][0]["raw"], call["repaired"]) == ({"icid": "r1", "fee": 7}, ["cut"])


def test_what_found_no_room_fails_and_what_had_to_go_comes_again_and_fails() -> None:
    late = [kept(an_event_of(n, told=n)) for n in range(1, 301)]
    full = step(None, late, now=T0 + seconds(300), patience=PATIENCE)
    assert (full.left_out, full.envelopes, full.session.cut) == ((), (), False)
    taken = step(full.session, [kept(an_event_of(0)), kept(an_event_of(400))], now=T0 + seconds(400), patience=PATIENCE)
    assert [fact.row["callee"] for fact in taken.left_out] == ["400"]
    (back,) = taken.envelopes
    assert (back.kind, back.id, back.body["body"]["callee"]) == (Kind.FACT, late[-1].identity["id"], "300")  # type: ignore[call-overload]
    again: Any = orjson.loads(orjson.dumps(back.body, option=orjson.OPT_UTC_Z))
    third = step(taken.session, [kept_fact(again)], now=T0 + seconds(401), patience=PATIENCE)
    assert ([fact.identity["id"] for fact in third.left_out], third.envelopes) == ([back.id], ())
    assert third.session == taken.session


def test_a_fact_that_is_sent_back_is_the_fact_that_came() -> None:
    fact = kept(replace(a_cdr_of(1), repaired=("entity",)))
    again: Any = orjson.loads(orjson.dumps(sent_back(fact, trace="t").body))
    assert kept_fact(again) == fact


@pytest.mark.parametrize("first", [a_cdr_of(1, raw=63), an_event_of(1, raw=63), an_sms("notify", text="t" * 63 * KIB)])
def test_the_first_of_each_kind_has_room_with_all_that_a_fact_may_hold(first: Fact) -> None:
    held = hold(EMPTY, [kept(first), *(kept(an_event_of(n, raw=63, told=99)) for n in range(2, 30))])
    (fact,) = [fact for fact in held.session.facts.values() if fact.key == first.key]
    assert (fact, fact.repaired, held.session.cut) == (kept(first), [], True)


def test_there_is_room_for_every_kind_that_goes_into_sessions() -> None:
    assert ROOMS.keys() == set(get_args(KindOfFact)) - {FactKind.OTHER, FactKind.NUMBER_STATE}


def test_a_session_and_its_event_are_bounded_whatever_fills_them() -> None:
    facts: list[Fact] = []
    for n in range(300):
        facts += [an_event_of(n, raw=48, text=15), a_cdr_of(n, raw=48, text=15), a_decision("call", told=n)]
        facts += [a_stored_recording(f"k{n}", told=n), a_cdr_of(n, text=60, told=n + 0.5)]
    facts += [a_cdr(f"x{n}", told=n, recordings=(Announced(name="n" * 500, url="u" * 500),)) for n in range(300)]
    session = EMPTY
    for start in range(0, len(facts), 100):
        news = [kept(fact) for fact in facts[start : start + 100]]
        taken = step(session, news, now=T0 + seconds(400), patience=PATIENCE)
        session = come_back(taken.session)
        events = [envelope.body for envelope in taken.envelopes if envelope.kind == Kind.EVENT]
        assert all(len(body) < 4 * MIB for body in events)
        assert len(encode_session(session)) < 4 * MIB
    assert session.cut


def test_an_sms_is_bounded_as_a_call_is() -> None:
    told = [an_sms("notify", told=n, text=f"{n}" + "t" * 15 * KIB) for n in range(60)]
    taken = sms_step(None, [*map(kept, told)], now=T0 + seconds(100), patience=PATIENCE)
    (event,) = [orjson.loads(e.body) for e in taken.envelopes if isinstance(e.body, bytes)]
    assert (event["data"]["sms"]["repaired"], len(taken.left_out)) == (["cut"], 60 - len(taken.session.facts))
    assert 10 < len(taken.session.facts) < 20


def test_a_call_as_any_other_keeps_the_very_facts_that_came() -> None:
    news: list[KeptFact] = [kept(fact) for fact in (*all_events(), a_cdr())]
    held = hold(EMPTY, news)
    assert (held.left_out, held.given_back, held.session.cut, held.session.full) == ((), (), False, {})
    assert all(fact is told for fact, told in zip(held.session.facts.values(), news, strict=True))
    assert b'"cut"' not in encode_session(held.session)
    assert record_of([*all_events(), a_cdr()])["repaired"] == []


def test_what_an_older_version_took_in_whole_is_thinned_when_its_session_is_looked_at() -> None:
    """A state of before there were bounds holds raw bodies of megabytes, and no broker takes its event."""
    whole = [kept_fact(orjson.loads(orjson.dumps(an_event_of(n, raw=3000)))) for n in range(3)]
    old = EMPTY.having(facts={version_key(fact): fact for fact in whole})
    taken = step(old, [kept(an_event("ended", told=5)), kept(a_cdr_of(9))], now=T0 + seconds(90), patience=PATIENCE)
    assert len(encode_session(taken.session)) < 64 * KIB
    assert taken.session.cut


def test_what_changed_is_named_field_by_field_and_no_longer_than_the_change() -> None:
    before, now = {"revision": 1, "a": {"x": 1, "y": 2}}, {"revision": 2, "a": {"x": 1, "y": 3}}
    assert changed(before, now) == ["/a/y"]
    name = "n" * 1000
    wide: Any = {"a": {"raw": {name: [{f"{n}": n} for n in range(100)]}}, "b": 1, "revision": 2}
    other: Any = {"a": {"raw": {name: [{f"{n}": 0} for n in range(100)]}}, "b": 1, "revision": 1}
    assert changed(other, wide) == ["/a"]


def test_a_call_that_is_amended_without_end_is_told_less_and_less_often() -> None:
    """A byte every two seconds would make a record of a MiB each time."""
    story = Story().told([a_cdr_of(0, raw=60)], at=0)
    for n in range(2, 600, 2):
        story.waits(until=n).told([an_event_of(n, told=n)], at=n)
    story.waits(until=700)
    assert story.record["timeline"][-1]["callee"] == "598"
    assert [event["revision"] for event in story.said] == list(range(1, len(story.said) + 1))
    assert 60 < len(story.said) < 120
