"""What every store promises about parked messages; nothing here is skipped for either."""

from __future__ import annotations

from dataclasses import replace

from schemas.envelope import Envelope, JsonObject, Kind, encode_envelope
from tests.building.facts import T0
from tests.building.stores import StoreRig, asked, at
from workers.park import Parked
from workers.stores.sweep import SWEEP_BYTES


def a_parked(message_id: str, *, reason: str = "not_json", told: float = 0, box: str = "quarantine") -> Parked:
    body: JsonObject = {"reason": reason, "envelope": {"text": "a\0b"}}
    envelope = Envelope(id=message_id, kind=Kind.QUARANTINED, source="huawei-bj", at=T0, body=body)
    return Parked(
        id=message_id,
        box=box,
        stage="dedupe",
        source="huawei-bj",
        reason=reason,
        signature=f"sig-{reason[:6]}",
        at=at(told),
        raw=encode_envelope(envelope),
    )


async def groups(rig: StoreRig, box: str = "quarantine") -> list[JsonObject]:
    return list(await asked(rig, lambda reads: reads.parked_groups(box)))


async def test_equal_failures_are_one_line_most_first(store_rig: StoreRig) -> None:
    async with store_rig.open_parked() as store:
        await store.park([a_parked("a", reason="too_deep", told=1), a_parked("x", box="dead")])
        await store.park([a_parked(f"b{n}", told=n) for n in range(5)])
    assert await groups(store_rig) == [
        {
            "signature": "sig-not_js",
            "stage": "dedupe",
            "reason": "not_json",
            "source": "huawei-bj",
            "state": "parked",
            "count": 5,
            "items": 5,
            "first_at": "2026-11-21T08:00:00+00:00",
            "last_at": "2026-11-21T08:00:04+00:00",
            "attempts": 1,
            "example": "b0",
        },
        {
            "signature": "sig-too_de",
            "stage": "dedupe",
            "reason": "too_deep",
            "source": "huawei-bj",
            "state": "parked",
            "count": 1,
            "items": 1,
            "first_at": "2026-11-21T08:00:01+00:00",
            "last_at": "2026-11-21T08:00:01+00:00",
            "attempts": 1,
            "example": "a",
        },
    ]
    assert [group["count"] for group in await groups(store_rig, "dead")] == [1]


async def test_a_message_that_comes_again_adds_an_attempt(store_rig: StoreRig) -> None:
    async with store_rig.open_parked() as store:
        await store.park([a_parked("a", reason="first", told=1)])
        await store.park([a_parked("a", reason="second", told=2), a_parked("b", told=2)])
        await store.park([a_parked("a", reason="third", told=3), a_parked("a", reason="fourth", told=4)])
    found = {group["reason"]: group for group in await groups(store_rig)}
    assert found.keys() == {"fourth", "not_json"}
    assert (found["fourth"]["attempts"], found["fourth"]["count"]) == (4, 1)
    assert (found["fourth"]["first_at"], found["fourth"]["last_at"]) == (
        "2026-11-21T08:00:01+00:00",
        "2026-11-21T08:00:04+00:00",
    )


async def test_parked_input_is_shown_whole_by_id_or_by_signature(store_rig: StoreRig) -> None:
    async with store_rig.open_parked() as store:
        await store.park([])
        await store.park([a_parked(f"m{n}", told=n) for n in range(4)])
    (shown,) = await asked(store_rig, lambda reads: reads.parked("quarantine", wanted="m2", limit=20))
    assert (shown["id"], shown["stage"], shown["state"], shown["attempts"]) == ("m2", "dedupe", "parked", 1)
    assert shown["raw"]["body"] == {"reason": "not_json", "envelope": {"text": "a\0b"}}
    assert shown["first_at"] == at(2).isoformat()
    same = await asked(store_rig, lambda reads: reads.parked("quarantine", wanted="sig-not_js", limit=3))
    assert [row["id"] for row in same] == ["m0", "m1", "m2"]
    assert await asked(store_rig, lambda reads: reads.parked("dead", wanted="m2", limit=20)) == []


async def test_a_reason_may_hold_any_character(store_rig: StoreRig) -> None:
    async with store_rig.open_parked() as store:
        await store.park([a_parked("a", reason="bad\0号")])
    (group,) = await groups(store_rig)
    assert group["reason"].replace("\0", "\ufffd") == "bad\ufffd号"


async def test_what_is_wanted_back_stays_listed_until_it_is_published(store_rig: StoreRig) -> None:
    async with store_rig.open_parked() as store:
        await store.park([a_parked(f"m{n}", told=n) for n in range(3)])
        assert await store.want(["m0", "m1"]) == 2
        assert await states(store_rig) == {"wanted": 2, "parked": 1}
        assert await asked(store_rig, lambda reads: reads.parked_ids("quarantine")) == ["m2"], "none is chosen twice"
        await store.replayed(["m0"], at(5))
        await store.unwanted(["m1"])
        assert await states(store_rig) == {"parked": 2}
        counts = {one.state: one.count for one in await asked(store_rig, lambda reads: reads.books.parked())}
        assert counts == {"replayed": 1, "parked": 2}


async def states(rig: StoreRig) -> dict[str, int]:
    return {group["state"]: group["count"] for group in await groups(rig)}


async def test_what_goes_back_is_taken_a_few_mib_at_a_time(store_rig: StoreRig) -> None:
    """`release --all` of 500 pushes of 1 MiB would be their whole weight in memory."""
    async with store_rig.open_parked() as store:
        ids = [f"m{n}" for n in range(5)]
        for n, parked_id in enumerate(ids):
            message = a_parked(parked_id, told=n)
            await store.park([replace(message, raw=message.raw + b" " * (SWEEP_BYTES // 2))])
        assert await store.want(ids) == 5
        taken = []
        while rows := await store.wanted("quarantine", 500):
            taken.append([parked_id for parked_id, _ in rows])
            await store.replayed(taken[-1], at(5))
    assert taken == [["m0", "m1"], ["m2", "m3"], ["m4"]]
