"""What every session store promises about folding and deadlines; nothing here is skipped for either."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import orjson
import pytest

from schemas.envelope import Kind
from schemas.facts import Announced
from tests.building.facts import a_cdr, all_events, an_event, kept
from tests.building.stores import (
    StoreRig,
    a_whole_call,
    asked,
    at,
    event,
    fold,
    stepping,
    types,
)
from workers.calls.kept import KeptFact
from workers.calls.session import Session
from workers.calls.step import Step
from workers.correlate import SessionStore


async def test_a_fold_applies_the_step_and_keeps_the_session(sessions: SessionStore) -> None:
    assert await fold(sessions, *all_events(), told=60) == []
    said = await fold(sessions, a_cdr(told=70), told=70)
    assert types(said) == ["call.completed"]
    await sessions.sent([said[0].id], at(70))
    assert await fold(sessions, a_cdr("r2", told=80), told=80) == []
    (amended,) = await sessions.due(at(82), stepping(82), 10)
    assert [cdr["record_id"] for cdr in event(amended)["data"]["call"]["cdrs"]] == ["r1", "r2"]
    assert event(amended)["revision"] == 2


async def test_a_batch_folds_each_call_on_its_own(sessions: SessionStore) -> None:
    news = [a_whole_call(f"s{n}") for n in range(30)]
    said = await fold(sessions, *news, told=70)
    assert sorted(event(e)["subject"] for e in said) == sorted(fact.call_id for fact in news)


async def test_everything_that_a_step_says_is_in_the_outbox(store_rig: StoreRig, sessions: SessionStore) -> None:
    recorded = a_cdr(implies=(), recordings=(Announced(name="a.wav"),))
    said = await fold(sessions, recorded, told=70)
    assert [envelope.kind for envelope in said] == [Kind.EVENT, Kind.RECORDING_WANTED]
    kept = await asked(store_rig, lambda reads: reads.session(recorded.call_id))
    assert kept is not None
    assert [row["id"] for row in kept["outbox"]] == [envelope.id for envelope in said]
    assert [row["sent"] for row in kept["outbox"]] == [False, False]


async def test_one_bad_session_does_not_stop_the_deadlines_of_all_others(sessions: SessionStore) -> None:
    await fold(sessions, a_cdr(session="bad"), a_cdr(session="good"), told=70)

    def fails_for_the_bad_one(session: Session | None, news: Sequence[KeptFact]) -> Step:
        assert session is not None
        if any(fact.of["session_id"] == "bad" for fact in session.facts.values()):
            raise ValueError("bug")
        return stepping(72)(session, news)

    (said,) = await sessions.due(at(72), fails_for_the_bad_one, 10)
    assert event(said)["subject"].endswith(":good")
    assert await sessions.due(at(73), stepping(73), 10) == [], "it is looked at again later"
    (later,) = await sessions.due(at(72 + 600), stepping(672), 10)
    assert event(later)["subject"].endswith(":bad")


async def test_the_same_facts_again_say_nothing_new(sessions: SessionStore) -> None:
    facts = [*all_events(), a_cdr()]
    await fold(sessions, *facts, told=70)
    assert await fold(sessions, *facts, told=71) == []


async def test_a_step_that_raises_commits_nothing(store_rig: StoreRig, sessions: SessionStore) -> None:
    def refusing(session: Session | None, news: Sequence[KeptFact]) -> Step:
        if news[0].of["session_id"] == "s2":
            raise ArithmeticError
        return stepping(70)(session, news)

    first, second = a_whole_call("s1"), a_whole_call("s2")
    with pytest.raises(ArithmeticError):
        await sessions.fold({first.call_id: [kept(first)], second.call_id: [kept(second)]}, refusing, at(70))
    assert await asked(store_rig, lambda reads: reads.session(first.call_id)) is None
    assert await sessions.unsent(at(100), 10) == []
    assert types(await fold(sessions, first, second, told=101)) == ["call.completed", "call.completed"]


async def test_an_event_comes_back_with_the_very_bytes_that_left(sessions: SessionStore) -> None:
    said = await fold(sessions, a_cdr(implies=(), raw={"words": 'é\u2028"\\ 号\t'}), told=70)
    assert await sessions.unsent(at(80), 10) == said


async def test_ids_and_raw_fields_may_hold_any_character(store_rig: StoreRig, sessions: SessionStore) -> None:
    """NUL is legal in JSON, and PostgreSQL's text refuses it."""
    odd = a_cdr(session="a\0b%_'\\\u2028号", implies=(), raw={"\0": "a\0b"})
    said = await fold(sessions, odd, told=70)
    assert types(said) == ["call.completed"]
    assert await asked(store_rig, lambda reads: reads.calls(odd.session_id)) == [odd.call_id]
    kept = await asked(store_rig, lambda reads: reads.session(odd.call_id))
    assert kept is not None
    assert kept["state"]["facts"][0]["body"]["raw"] == {"\0": "a\0b"}
    assert await sessions.unsent(at(80), 10) == said
    await sessions.sent([said[0].id, "a\0b"], at(81))
    assert await sessions.unsent(at(99), 10) == []


async def test_sessions_are_due_when_their_moment_has_come(sessions: SessionStore) -> None:
    await fold(sessions, a_cdr(told=70), told=70)
    assert await sessions.due(at(71.9), stepping(71.9), 10) == []
    assert types(await sessions.due(at(72), stepping(72), 10)) == ["call.completed"]
    assert await sessions.due(at(999), stepping(999), 10) == []


async def test_a_sweep_takes_the_earliest_first_and_no_more_than_its_limit(sessions: SessionStore) -> None:
    for n in (3, 1, 2):
        await fold(sessions, a_cdr(session=f"s{n}", told=70 + n), told=70 + n)
    swept = [await sessions.due(at(100), stepping(100), 1) for _ in range(4)]
    assert [[event(e)["subject"] for e in said] for said in swept] == [
        ["huawei-bj:s1"],
        ["huawei-bj:s2"],
        ["huawei-bj:s3"],
        [],
    ]


async def test_what_a_sweep_says_is_in_the_outbox_too(sessions: SessionStore) -> None:
    await fold(sessions, a_cdr(told=70), told=70)
    said = list(await sessions.due(at(72), stepping(72), 10))
    assert await sessions.unsent(at(80), 10) == said


async def test_the_state_outlives_a_crash(store_rig: StoreRig) -> None:
    async with store_rig.open_sessions() as store:
        await fold(store, *all_events(), told=60)
        await fold(store, a_cdr(session="s2", told=60), told=60)
    async with store_rig.open_sessions() as store:
        completed = await fold(store, a_cdr(told=70), told=70)
        assert len(event(completed[0])["data"]["call"]["timeline"]) == 5
        assert types(await store.due(at(80), stepping(80), 10)) == ["call.completed"]


async def test_folds_of_one_call_at_once_lose_nothing(store_rig: StoreRig, sessions: SessionStore) -> None:
    """The first facts of a new call may reach two workers at the same moment."""
    news = [replace(fact, session_id=f"s{n}") for n in range(20) for fact in all_events()]
    shares = [[fact for fact in news if fact.key.endswith(f"|{kind}|0")] for kind in ("incoming", "ringing", "ended")]
    await asyncio.gather(*(fold(sessions, *share, told=60) for share in (*shares, shares[0][::-1])))
    async with store_rig.open_reads() as reads:
        for n in range(20):
            kept = await reads.session(f"huawei-bj:s{n}")
            assert kept is not None
            assert len(kept["state"]["facts"]) == 3


async def test_two_sweeps_at_once_say_everything_once(sessions: SessionStore) -> None:
    await fold(sessions, *(a_cdr(session=f"s{n}", told=70) for n in range(60)), told=70)
    swept = await asyncio.gather(*(sessions.due(at(now), stepping(now), 25) for now in (80, 81, 82)))
    said = [event(envelope)["subject"] for envelopes in swept for envelope in envelopes]
    said += [event(envelope)["subject"] for envelope in await sessions.due(at(83), stepping(83), 100)]
    assert (len(said), len(set(said))) == (60, 60)


async def test_an_empty_fold_is_no_work(sessions: SessionStore) -> None:
    assert await sessions.fold({}, stepping(70), at(70)) == []


async def test_the_operator_sees_the_state_of_a_call(store_rig: StoreRig, sessions: SessionStore) -> None:
    await fold(sessions, an_event("incoming", told=5), told=5)
    kept = await asked(store_rig, lambda reads: reads.session("huawei-bj:s1"))
    assert kept is not None
    assert (kept["id"], kept["status"], kept["outbox"]) == ("huawei-bj:s1", "open", [])
    assert kept["due_at"] == "2026-11-22T08:00:05+00:00"
    assert orjson.dumps(kept["state"]["facts"][0]["key"]) == b'"event|s1|incoming|0"'
    assert await asked(store_rig, lambda reads: reads.session("huawei-bj:s2")) is None
    assert await asked(store_rig, lambda reads: reads.due()) == 1
