"""No push costs another its record, nor makes many times its bytes: dedupe and correlate, over both stores."""

from __future__ import annotations

import json
from collections import Counter

import orjson
import pytest

from schemas.envelope import JsonObject
from tests.building.stores import SOURCE, asked, at
from tests.contracts.pipe import Pipe
from workers.stores.ledger import Pair, hashed_pair

KIB = 1024
TIMES = 8  # what is published and kept for each byte: the event at once, the session, the record, and their frames


def an_event(n: int, **more: object) -> JsonObject:
    info = {
        "sessionId": "s1",
        "timestamp": "2026-11-21 08:00:00",
        "caller": "+8613800000021",
        "called": f"+86138{n:08}",
    }
    return {"eventType": "alerting", "statusInfo": {**info, **more}}


def a_cdr(record_id: str = "r1", **more: object) -> JsonObject:
    record = {
        "sessionId": "s1",
        "icid": record_id,
        "callerNum": "+8613800000021",
        "fwdDstNum": "+8613800000022",
        "fwdAnswerTime": "2026-11-21 08:00:03",
        "callEndTime": "2026-11-21 08:00:45",
    }
    return {"eventType": "fee", "feeLst": [{**record, **more}]}


async def arrived(pipe: Pipe) -> Counter[str]:
    """What the ledger finds in sessions, by kind."""
    async with pipe.rig.open_reads() as reads:
        return Counter([fact.kind async for fact in reads.books.arrived_facts(SOURCE, at(-3600))])


async def in_sessions(pipe: Pipe) -> set[Pair]:
    async with pipe.rig.open_reads() as reads:
        return {fact.pair async for fact in reads.books.arrived_facts(SOURCE, at(-3600))}


async def test_a_session_full_of_junk_makes_no_cdr_a_dead_letter(pipe: Pipe) -> None:
    await pipe.pushes(*(an_event(n) for n in range(330)))
    await pipe.pushes(a_cdr())
    await pipe.waits(600)
    (record,) = pipe.records()
    assert (record["answered"], record["talk_seconds"], len(record["cdrs"])) == (True, 42, 1)
    assert record["repaired"] == ["cut"]
    assert (await arrived(pipe), len(pipe.dead)) == ({"call_event": 300, "cdr": 1}, 30)


async def test_what_is_left_out_is_a_dead_letter_so_that_the_ledger_balances(pipe: Pipe) -> None:
    """Told out of order, so that what was kept has to go again for what was told before it."""
    for start in (300, 200, 0, 100):
        pipe.received = start
        await pipe.pushes(*(an_event(n) for n in range(start, start + 100)))
    kept = await in_sessions(pipe)
    dead = {hashed_pair(one["source"], one["key"], one["fingerprint"]) for one in (e.body for e in pipe.dead)}  # type: ignore[call-overload]
    assert (len(kept), len(dead), kept & dead) == (300, 100, set())
    async with pipe.rig.open_reads() as reads:
        passed = await reads.books.passed_facts(SOURCE, at(-3600), at(3600))
    assert {fact.pair for fact in passed} == kept | dead
    kept_numbers = {row["called"] for row in await timeline(pipe)}
    assert kept_numbers == {f"+86138{n:08}" for n in range(300)}


async def timeline(pipe: Pipe) -> list[JsonObject]:
    state = await asked(pipe.rig, lambda reads: reads.session(f"{SOURCE}:s1"))
    assert state is not None
    return [fact["body"]["raw"]["statusInfo"] for fact in state["state"]["facts"]]


async def test_a_redelivery_of_a_flood_changes_nothing(pipe: Pipe) -> None:
    await pipe.pushes(*(an_event(n) for n in range(310)))
    before, dead = await in_sessions(pipe), len(pipe.dead)
    pipe.received = 0
    await pipe.pushes(*(an_event(n) for n in range(310)))
    assert (await in_sessions(pipe), len(pipe.dead)) == (before, 2 * dead)


@pytest.mark.parametrize("kib", [1, 63, 600])
async def test_no_input_makes_many_times_its_bytes(pipe: Pipe, kib: int) -> None:
    """Of any size: many small ones, those that just find room, and those of which only the fields are kept."""
    pushed = 0
    for start in range(0, 40, 10):
        bodies = [an_event(n, pad="p" * kib * KIB) for n in range(start, start + 10)]
        pushed += sum(len(json.dumps(body)) for body in bodies)
        await pipe.pushes(*bodies)
    await pipe.pushes(a_cdr())
    await pipe.waits(600)
    (record,) = pipe.records()
    assert record["answered"] is True
    assert sum(map(len, pipe.events)) + await state_bytes(pipe) < TIMES * pushed
    assert max(map(len, pipe.events)) < 700 * KIB


async def test_gzip_pushes_of_megabytes_make_a_record_of_kilobytes(pipe: Pipe) -> None:
    """The flood that made a record which no broker took: it stood in correlate's way for ever."""
    pad = [f"{n:x}" * 3 for n in range(10_000)]
    await pipe.pushes(*(an_event(n, pad=pad) for n in range(21)), zipped=True)
    await pipe.pushes(a_cdr())
    await pipe.waits(600)
    (record,) = pipe.records()
    assert (record["answered"], len(record["timeline"]), record["repaired"]) == (True, 21, ["cut"])
    assert sum(map(len, pipe.events)) + await state_bytes(pipe) < 100 * KIB


async def state_bytes(pipe: Pipe) -> int:
    state = await asked(pipe.rig, lambda reads: reads.session(f"{SOURCE}:s1"))
    assert state is not None
    return len(orjson.dumps(state["state"]))
