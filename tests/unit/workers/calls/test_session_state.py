"""What a store keeps of a session comes back whole, whatever version wrote it; a damaged fact never gets in."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from schemas.fact_json import FactJson, encode_fact
from schemas.facts import Announced, CallEvent, Fact
from tests.building.facts import T0, a_cdr, a_decision, a_stored_recording, all_events, an_event, an_sms, kept, seconds
from tests.building.pushes import fact_in
from tests.building.states import come_back, state_1
from workers.calls.kept import KeptFact, kept_fact
from workers.calls.session import Session, decode_session, encode_session, state_of, with_record
from workers.calls.step import Patience, Step, step

FACTS = [*all_events(), a_cdr(recordings=(Announced(name="a.wav"),), raw={"a": "line\nand\x00more", "n": [1.5, None]})]
ONE_OF_EACH = [an_event("ended"), a_cdr(), a_decision("call"), a_stored_recording("k"), an_sms("notify")]


def next_steps(session: Session) -> list[Step]:
    amended = step(session, [kept(a_cdr(told=80, user_data="x"))], now=T0 + seconds(80), patience=Patience())
    said = step(amended.session, [], now=T0 + seconds(90), patience=Patience())
    stored = step(said.session, [kept(a_stored_recording("k"))], now=T0 + seconds(95), patience=Patience())
    return [amended, said, stored]


def test_a_session_of_version_1_goes_on_as_one_of_today() -> None:
    told = step(None, [*map(kept, FACTS)], now=T0 + seconds(70), patience=Patience()).session
    older, today = decode_session(state_1(told, FACTS)), come_back(told)
    assert older.having(said=told.said) == today == told
    assert [taken.envelopes for taken in next_steps(older)] == [taken.envelopes for taken in next_steps(told)]
    assert any(taken.envelopes for taken in next_steps(older))
    assert state_of(encode_session(older))["published"] == state_of(state_1(told, FACTS))["published"]


def test_a_state_of_version_2_which_holds_the_record_goes_on_as_one_of_today() -> None:
    told = step(None, [*map(kept, FACTS)], now=T0 + seconds(70), patience=Patience()).session
    state = encode_session(told.having(said=""))
    assert (state_of(state)["v"], state_of(state)["published"]["session_id"]) == (2, "s1")
    older = decode_session(state)
    assert older.having(said=told.said) == told
    assert [taken.envelopes for taken in next_steps(older)] == [taken.envelopes for taken in next_steps(told)]
    assert encode_session(older) == state == with_record(encode_session(told), told.published or b"")


@pytest.mark.parametrize("fact", ONE_OF_EACH, ids=lambda fact: fact.kind)
def test_a_kept_fact_is_the_fact_that_was_told(fact: Fact) -> None:
    (back,) = decode_session(encode_session(Session(facts={"f": kept(fact)}))).facts.values()
    assert fact_in(row_of(back)) == fact
    assert back == kept(fact)
    assert back.call_id == fact.call_id
    assert back.event_type == (fact.body.type if isinstance(fact.body, CallEvent) else None)


def row_of(fact: KeptFact) -> FactJson:
    return {**fact.of, **fact.identity, "body": fact.row}


def test_a_state_is_told_as_one_object_with_facts_that_can_be_read() -> None:
    state = state_of(encode_session(step(None, [*map(kept, FACTS)], now=T0 + seconds(70), patience=Patience()).session))
    assert (state["v"], state["revision"], state["completed"], state["published"]) == (3, 1, True, None)
    told = [{name: value for name, value in row.items() if name != "type"} for row in state["facts"]]
    assert [fact_in(row) for row in told] == FACTS


@pytest.mark.parametrize("damage", [{"body": {}}, {"at": None}, {"at": "soon"}, {"kind": "cake"}, {"body": None}])
@pytest.mark.parametrize("fact", ONE_OF_EACH, ids=lambda fact: fact.kind)
def test_a_damaged_fact_is_refused_before_it_is_kept(fact: Fact, damage: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        kept_fact(orjson.loads(encode_fact(fact)) | damage)
