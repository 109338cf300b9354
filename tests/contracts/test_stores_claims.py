"""What every claim store promises; nothing here is skipped for either."""

from __future__ import annotations

import asyncio

from tests.building.stores import StoreRig, a_claim, a_receipt, a_tally, claimed, ledger
from workers.dedupe import ClaimStore


async def test_the_first_to_tell_a_key_is_new_and_every_other_one_a_duplicate(claims: ClaimStore) -> None:
    assert await claimed(claims, a_claim("k", "f1")) == ["new"]
    assert await claimed(claims, a_claim("k", "f2"), envelope="n2") == ["duplicate"]
    assert await claimed(claims, a_claim("k", "f3"), envelope="n3") == ["duplicate"]


async def test_a_redelivery_is_mine_for_what_it_owns_and_duplicate_for_what_others_own(claims: ClaimStore) -> None:
    await claimed(claims, a_claim("k1", "f1"), envelope="n1")
    both = [a_claim("k1", "f2"), a_claim("k2", "f3")]
    assert await claimed(claims, *both, envelope="n2") == ["duplicate", "new"]
    assert await claimed(claims, *both, envelope="n2") == ["duplicate", "mine"]


async def test_a_known_key_with_another_fingerprint_is_amended_once(claims: ClaimStore) -> None:
    await claimed(claims, a_claim("k", "f1"))
    amended = a_claim("k", "f2", version="b")
    assert await claimed(claims, amended, envelope="n2") == ["amended"]
    assert await claimed(claims, amended, envelope="n2") == ["mine"]
    assert await claimed(claims, a_claim("k", "f3", version="b"), envelope="n3") == ["duplicate"]
    assert await claimed(claims, a_claim("k", "f4", version="a"), envelope="n4") == ["duplicate"]
    assert await claimed(claims, a_claim("k", "f5", version="c"), envelope="n5") == ["amended"]


async def test_an_earlier_telling_takes_over_and_is_passed_on(claims: ClaimStore) -> None:
    """Which version of a fact wins depends on when each was told first, not on when it was processed."""
    assert await claimed(claims, a_claim("k", "late", told=20), envelope="n3") == ["new"]
    assert await claimed(claims, a_claim("k", "between", version="b", told=10), envelope="n2") == ["amended"]
    assert await claimed(claims, a_claim("k", "early", told=5), envelope="n1") == ["earlier"]
    assert await claimed(claims, a_claim("k", "early", told=5), envelope="n1") == ["mine"]
    assert await claimed(claims, a_claim("k", "late", told=20), envelope="n3") == ["duplicate"]
    assert await claimed(claims, a_claim("k", "first", version="b", told=1), envelope="n0") == ["earlier"]
    assert await claimed(claims, a_claim("k", "between", version="b", told=10), envelope="n2") == ["duplicate"]


async def test_the_same_key_twice_in_one_envelope_has_one_owner_for_ever(claims: ClaimStore) -> None:
    twice = [a_claim("k", "f1"), a_claim("k", "f2")]
    first = await claimed(claims, *twice)
    again = await claimed(claims, *twice)
    assert sorted(first) == ["duplicate", "new"]
    assert [{"new": "mine"}.get(result, result) for result in first] == again


async def test_a_key_and_its_amendment_in_one_envelope_are_both_owned(claims: ClaimStore) -> None:
    told = [a_claim("k", "f1", told=0), a_claim("k", "f2", version="b", told=0), a_claim("k", "f3", version="b")]
    first = await claimed(claims, *told)
    assert sorted(first) == ["amended", "duplicate", "new"]
    again = await claimed(claims, *told)
    assert [{"new": "mine", "amended": "mine"}.get(result, result) for result in first] == again


async def test_two_sources_may_use_the_same_key(claims: ClaimStore) -> None:
    assert await claimed(claims, a_claim("k", "f1"), a_claim("k", "f2", source="aliyun-sh")) == ["new", "new"]


async def test_nothing_to_claim_is_no_work(claims: ClaimStore) -> None:
    assert await claims.claim([], []) == {}


async def test_keys_may_hold_any_character(claims: ClaimStore) -> None:
    assert await claimed(claims, a_claim("a\0b|%_'", "f1"), a_claim("a\0b|%_", "f2")) == ["new", "new"]


async def test_a_receipt_is_written_once_whatever_a_redelivery_finds(store_rig: StoreRig, claims: ClaimStore) -> None:
    await claims.claim([a_receipt("n1", a_claim("k1", "f1"))], [])
    told = a_receipt("n2", a_claim("k1", "f2"), a_claim("k2", "f3"), a_claim("k1", "f4", version="b"), quarantined=2)
    await claims.claim([told], [])
    await claims.claim([told], [])
    async with store_rig.open_sessions():
        (row,) = await ledger(store_rig)
    assert row == {
        "source": "huawei-bj",
        "hour": "2026-11-21T08",
        "receipts": 2,
        "items": 6,
        "unique": 2,
        "amended": 1,
        "duplicate": 1,
        "quarantined": 2,
    }


async def test_an_envelope_that_stands_twice_in_a_batch_is_passed_on_and_counted_once(
    store_rig: StoreRig, claims: ClaimStore
) -> None:
    """The retry's copy and the original may meet; the ledger must balance all the same."""
    await claims.claim([a_receipt("n0", a_claim("k2", "f0"))], [])
    receipt = a_receipt("n1", a_claim("k1", "f1"), a_claim("k2", "f2", version="b"))
    assert await claims.claim([receipt, receipt], []) == {"f1": "new", "f2": "amended"}
    async with store_rig.open_sessions():
        (row,) = await ledger(store_rig)
    assert (row["receipts"], row["items"], row["unique"], row["amended"]) == (2, 3, 2, 1)


async def test_a_tally_is_counted_once_and_tallies_of_an_hour_add_up(store_rig: StoreRig, claims: ClaimStore) -> None:
    await claims.claim([], [a_tally("t1", 3), a_tally("t2", 4)])
    await claims.claim([], [a_tally("t2", 4), a_tally("t3", 5, hour="2026-11-21T09")])
    async with store_rig.open_sessions():
        rows = await ledger(store_rig)
    assert [(row["hour"], row["answered"]) for row in rows] == [("2026-11-21T08", 7), ("2026-11-21T09", 5)]


async def test_what_was_claimed_is_known_after_a_crash(store_rig: StoreRig) -> None:
    async with store_rig.open_claims() as store:
        await claimed(store, a_claim("k", "f1"))
    async with store_rig.open_claims() as store:
        assert await claimed(store, a_claim("k", "f1")) == ["mine"]
        assert await claimed(store, a_claim("k", "f2"), envelope="n2") == ["duplicate"]


async def test_of_two_claimers_at_once_exactly_one_wins_each_key(claims: ClaimStore) -> None:
    keys = [f"k{n}" for n in range(200)]

    async def claimer(name: str, order: list[str]) -> list[str]:
        results = await claims.claim([a_receipt(name, *(a_claim(key, f"{name}|{key}") for key in order))], [])
        return [key for key in keys if results[f"{name}|{key}"] == "new"]

    won = await asyncio.gather(claimer("a", keys), claimer("b", keys[::-1]), claimer("c", keys))
    assert sorted(key for names in won for key in names) == sorted(keys)


async def test_of_two_versions_told_at_once_one_is_new_and_the_others_are_amended(claims: ClaimStore) -> None:
    told = [[a_claim(f"k{n}", f"{v}|{n}", version=v) for n in range(100)] for v in ("a", "b", "c")]
    answers = await asyncio.gather(*(claimed(claims, *rows, envelope=rows[0].owner) for rows in told))
    for results in zip(*answers, strict=True):
        assert sorted(results) == ["amended", "amended", "new"]
