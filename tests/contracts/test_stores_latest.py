"""What every claim store promises of numbers that are told without a time: only the latest is repeated."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from schemas.dialect.items import latest_number_state
from tests.building.facts import seconds
from tests.building.stores import SOURCE, StoreRig, a_claim, a_receipt, at, claimed, ledger
from workers.dedupe import Claim, ClaimStore
from workers.retention import CLAIMS_KEPT

NUMBER = "+8617000000051"


def a_state(status: str, owner: str, *, number: str = NUMBER, told: float = 0) -> Claim:
    """A claim on the state of a number, by an item of a push."""
    item = latest_number_state({"number": number, "status": status}, number=number)
    return Claim(source=SOURCE, key=item.key, fingerprint=item.fingerprint, owner=owner, at=at(told))


async def told(claims: ClaimStore, *pushes: Sequence[Claim]) -> list[list[str]]:
    """What each of these pushes is answered, one after the other."""
    return [await claimed(claims, *push, envelope=f"n{push[0].owner}") for push in pushes]


async def test_a_state_that_comes_back_is_news_and_one_that_is_told_again_is_not(claims: ClaimStore) -> None:
    states = ["9", "9", "5", "5", "9", "9", "5"]
    answers = await told(claims, *([a_state(state, f"f{n}", told=n)] for n, state in enumerate(states)))
    assert [answer for (answer,) in answers] == ["new", "duplicate", "new", "duplicate", "new", "duplicate", "new"]


async def test_a_redelivery_is_answered_as_it_was_whatever_was_told_since(claims: ClaimStore) -> None:
    nine, again, five = [a_state("9", "f1")], [a_state("9", "f2")], [a_state("5", "f3")]
    assert await told(claims, nine, again, five) == [["new"], ["duplicate"], ["new"]]
    assert await told(claims, nine, again, five, again) == [["mine"], ["duplicate"], ["mine"], ["duplicate"]]
    assert await told(claims, [a_state("5", "f4")], [a_state("9", "f5")]) == [["duplicate"], ["new"]]


async def test_numbers_and_sources_are_told_apart_and_a_number_is_one_however_it_is_spelled(claims: ClaimStore) -> None:
    elsewhere = replace(a_state("9", "f4"), source="other")
    first = [a_state("9", "f1"), a_state("9", "f2", number="+8617000000052"), elsewhere]
    assert await claimed(claims, *first) == ["new", "new", "new"]
    spelled = a_state("9", "f5", number="17000000051")
    assert spelled.key == first[0].key


async def test_a_push_tells_its_states_in_their_order(claims: ClaimStore) -> None:
    push = [a_state("9", "zz"), a_state("5", "mm"), a_state("9", "aa"), a_state("9", "bb")]
    assert await told(claims, push, push) == [["new", "new", "new", "duplicate"], ["mine", "mine", "mine", "duplicate"]]
    assert await told(claims, [a_state("9", "f9")]) == [["duplicate"]]


async def test_an_envelope_that_stands_twice_in_a_batch_is_answered_once(claims: ClaimStore) -> None:
    receipt = a_receipt("n1", a_state("9", "f1"), a_claim("k", "f2"))
    assert await claims.claim([receipt, receipt], []) == {"f1": "new", "f2": "new"}


async def test_the_clock_of_no_door_decides_what_is_the_latest(claims: ClaimStore) -> None:
    """A consumer believes what it was told last; a door that is hours ahead must not swallow what comes after."""
    states = [a_state("9", "f1", told=7200), a_state("5", "f2", told=60), a_state("9", "f3", told=120)]
    assert await told(claims, *([state] for state in states)) == [["new"], ["new"], ["new"]]


async def test_the_ledger_balances_and_passes_none_of_them_to_sessions(store_rig: StoreRig, claims: ClaimStore) -> None:
    await told(claims, *([a_state(state, f"f{n}")] for n, state in enumerate("9959")))
    async with store_rig.open_sessions():
        (row,) = await ledger(store_rig)
    assert (row["items"], row["unique"], row["amended"], row["duplicate"]) == (4, 3, 0, 1)
    async with store_rig.open_reads() as reads:
        assert await reads.books.passed(at(-60)) == []
        assert await reads.books.told_at_once()


async def test_what_is_the_latest_outlives_a_crash_and_is_forgotten_with_the_claims(store_rig: StoreRig) -> None:
    async with store_rig.open_claims() as store:
        assert await told(store, [a_state("9", "f1")]) == [["new"]]
    async with store_rig.open_claims() as store:
        assert await told(store, [a_state("9", "f1")], [a_state("9", "f2", told=60)]) == [["mine"], ["duplicate"]]
        await store.expire(at(30) + CLAIMS_KEPT, 100)
        assert await told(store, [a_state("9", "f3", told=90)]) == [["duplicate"]]
        await store.expire(at(90) + CLAIMS_KEPT + seconds(1), 100)
        assert await told(store, [a_state("9", "f4")]) == [["new"]]


@pytest.mark.parametrize("turns", [1, 5])
async def test_of_several_claimers_at_once_each_change_is_told_by_one(claims: ClaimStore, turns: int) -> None:
    """In opposite orders, with calls among them: nobody waits in a ring, and nothing is told twice or by nobody."""
    numbers = [f"+86170{n:08}" for n in range(100)]

    async def claimer(name: str, order: Sequence[str], turn: int) -> dict[str, str]:
        rows = [a_state(str(turn), f"{name}|{turn}|{number}", number=number) for number in order]
        calls = [a_claim(f"k{number}", f"{name}|{turn}|k{number}") for number in order[:20]]
        return dict(await claims.claim([a_receipt(f"{name}{turn}", *calls, *rows)], []))

    for turn in range(turns):
        names = {"a": numbers, "b": numbers[::-1], "c": numbers}
        answers = await asyncio.gather(*(claimer(name, order, turn) for name, order in names.items()))
        results = {owner: answer for found in answers for owner, answer in found.items()}
        for number in numbers:
            of_number = sorted(results[f"{name}|{turn}|{number}"] for name in names)
            assert of_number == ["duplicate", "duplicate", "new"]
