"""What an operator finds a call by, and the dead letters of an event: both stores find the same."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from console.trace.meant import Meant, meant
from runtime.wire import dead_envelope
from schemas.envelope import Envelope, encode_envelope
from schemas.facts import Fact, FactKind, Sms
from tests.building.facts import a_cdr, a_fact, an_event
from tests.building.stores import SOURCE, StoreRig, a_whole_call, asked, at, event, fold
from workers.correlate import SessionStore
from workers.park import Parked, ParkedStore

A = "+8613800000021"


async def ids(rig: StoreRig, wanted: str) -> Sequence[str]:
    return (await found(rig, wanted)).calls


async def found(rig: StoreRig, wanted: str) -> Meant:
    return await asked(rig, lambda reads: meant(reads, wanted, [SOURCE]))


async def holding(rig: StoreRig, part: bytes, spelled: str, *, most: int, limit: int = 20) -> list[str]:
    found = await asked(rig, lambda reads: reads.holding(part, spelled, most=most, limit=limit))
    return [one.id for one in found]


@pytest.mark.parametrize(
    "spelled", [A, "8613800000021", "008613800000021", "13800000021", " 138 0000 0021", "+86 (138) 0000-0021"]
)
async def test_a_number_in_any_spelling_is_every_call_of_it_newest_first(
    store_rig: StoreRig, sessions: SessionStore, spelled: str
) -> None:
    await fold(sessions, a_cdr(session="old", implies=(), callee=A, caller="+8613900000001"), told=70)
    await fold(sessions, a_cdr(session="spaced", implies=(), callee="138 0000 0021", caller=None), told=80)
    await fold(sessions, a_cdr(session="open", implies=("ended",), private_number=A, caller=None), told=90)
    await fold(sessions, a_cdr(session="other", implies=(), caller="+8613800000029"), told=95)
    await fold(sessions, a_cdr(session="longer", implies=(), caller="+861380000002100"), told=95)
    assert await ids(store_rig, spelled) == [f"{SOURCE}:{one}" for one in ("open", "spaced", "old")]


async def test_a_call_is_known_by_the_ids_of_its_record_its_binding_and_its_events(
    store_rig: StoreRig, sessions: SessionStore
) -> None:
    said = await fold(sessions, a_cdr('r"1', session="s1", implies=(), binding_id="bound-1"), told=70)
    await fold(sessions, a_cdr("r2", session="s2", implies=(), binding_id="bound-1", user_data="r1"), told=80)
    await fold(sessions, a_sms(), told=90)
    (completed,) = [one for one in said if event(one)]
    for wanted in ('r"1', completed.id, completed.id.upper(), "s1", f"{SOURCE}:s1"):
        assert await ids(store_rig, wanted) == [f"{SOURCE}:s1"], wanted
    assert await ids(store_rig, "bound-1") == [f"{SOURCE}:s2", f"{SOURCE}:s1"]
    assert await ids(store_rig, "+8613700000099") == [f"{SOURCE}:m1"]
    for nothing in ("r1", "r", "bound", "13800000", "00000000-0000-5000-8000-000000000000", "%", ".*"):
        assert await ids(store_rig, nothing) == [], nothing


def a_sms() -> Fact:
    body = Sms(identifier="m1", mode="notify", sender="+8613700000099", receiver="+8613700000098", text="hello")
    return a_fact(FactKind.SMS, "sms|m1|notify", body, told=90, session="m1")


async def test_the_newest_are_searched_and_how_far_is_told(store_rig: StoreRig, sessions: SessionStore) -> None:
    for n in range(5):
        await fold(sessions, a_whole_call(f"s{n}", told=70 + n), told=70 + n)
    newest = [f"{SOURCE}:s{n}" for n in (4, 3, 2)]
    part, spelled = b"0021", "13800000021"
    assert await holding(store_rig, part, spelled, most=3) == newest
    assert await holding(store_rig, part, spelled, most=9, limit=2) == newest[:2]
    assert await holding(store_rig, part, "1380[01]{5}21", most=3) == newest
    assert await holding(store_rig, part, "13800000022x", most=9) == []
    assert await asked(store_rig, lambda reads: reads.back_to(3)) == at(72).isoformat()
    assert await asked(store_rig, lambda reads: reads.back_to(6)) is None
    assert (await found(store_rig, A)).back_to is None


async def test_an_open_call_is_found_before_quiet_ones(store_rig: StoreRig, sessions: SessionStore) -> None:
    await fold(sessions, a_whole_call("quiet"), told=70)
    await fold(sessions, an_event("incoming", told=5, session="open", caller=A), told=75)
    assert await holding(store_rig, b"0021", "13800000021", most=1) == [f"{SOURCE}:open", f"{SOURCE}:quiet"]


@pytest.fixture
async def parked(store_rig: StoreRig) -> AsyncIterator[ParkedStore]:
    async with store_rig.open_parked() as store:
        yield store


async def test_dead_letters_are_found_by_their_ids_and_by_what_they_hold(
    store_rig: StoreRig, sessions: SessionStore, parked: ParkedStore
) -> None:
    (said,) = [one for one in await fold(sessions, a_whole_call(), told=70) if event(one)]
    rows = [a_letter(said, n, stage="queue:crm" if n < 3 else "queue:billing") for n in range(4)]
    await parked.park([*rows, replace(rows[0], id="elsewhere", box="unrouted")])
    by_id = await asked(store_rig, lambda reads: reads.letters(["l2", "l0", "elsewhere", "nobody's"]))
    assert sorted(one["id"] for one in by_id) == ["l0", "l2"]
    first = next(one for one in by_id if one["id"] == "l0")
    assert (first["stage"], first["reason"], first["state"]) == ("queue:crm", "rejected", "parked")
    assert first["first_at"] == at(0).isoformat()
    for text, most, letters in ((said.id, 2, {"l1", "l2"}), (said.id, 9, {"l0", "l1", "l2"}), ("no such", 9, set())):
        of = await asked(store_rig, lambda reads: reads.letters_holding(text, stage="queue:crm", most=most))  # noqa: B023 - asked at once
        assert {one["id"] for one in of} == letters
    assert await asked(store_rig, lambda reads: reads.letters([])) == []


def a_letter(said: Envelope, n: int, *, stage: str) -> Parked:
    dead = dead_envelope(said, reason="rejected", stage=stage)
    return Parked(
        id=f"l{n}",
        box="dead",
        stage=stage,
        source=SOURCE,
        reason="rejected",
        signature="s",
        at=at(n),
        raw=encode_envelope(dead),
    )
