"""No push costs another its record, nor makes many times its bytes: dedupe and correlate, over both stores."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime

import orjson
import pytest

from schemas.envelope import Envelope, JsonObject, Kind, encode_envelope
from schemas.notification import Notification, to_json
from schemas.platforms import DIALECTS
from schemas.platforms.huawei.privatenumber.settings import PrivateNumberSource
from schemas.stage import Failed, Stage
from tests.building.stores import SOURCE, StoreRig, asked, at
from workers.calls.bounds import LEFT_OUT
from workers.correlate import correlate
from workers.dedupe import dedupe
from workers.stores.ledger import Pair, hashed_pair

KIB = 1024
TIMES = 8  # what is published and kept for each byte: the event at once, the session, the record, and their frames


@dataclass
class Pipe:
    """Both stages over one store, with a clock of its own."""

    rig: StoreRig
    dedupe: Stage
    correlate: Stage
    now: datetime = field(default_factory=lambda: at(0))
    events: list[bytes] = field(default_factory=list)
    dead: list[Envelope] = field(default_factory=list)
    received: int = 0

    async def pushes(self, *bodies: JsonObject, zipped: bool = False) -> None:
        """One batch of pushes, told in their order."""
        batch = []
        for body in bodies:
            self.received += 1
            batch.append(self._pushed(json.dumps(body).encode(), zipped=zipped))
        outcome = await self.dedupe.handle(batch)
        assert {item.kind for item in outcome if isinstance(item, Envelope)} <= {Kind.FACT}
        await self.takes([item for item in outcome if isinstance(item, Envelope)])

    def _pushed(self, body: bytes, *, zipped: bool) -> Envelope:
        sent = Notification(
            path="",
            remote="192.0.2.1",
            content_type="application/json",
            headers={"content-encoding": "gzip"} if zipped else {},
            body=gzip.compress(body, 1) if zipped else body,
        )
        return Envelope(
            id=f"n{self.received}", kind=Kind.NOTIFICATION, source=SOURCE, at=at(self.received), body=to_json(sent)
        )

    async def takes(self, facts: Sequence[Envelope]) -> None:
        """What correlate makes of them as they come from its queue, and of what it sends back to it."""
        batch = [replaced(fact) for fact in facts]
        if batch:
            self._left(outcome := await self.correlate.handle(batch))
            await self.takes([item for item in outcome if isinstance(item, Envelope) and item.kind == Kind.FACT])

    async def waits(self, told: float) -> None:
        assert self.correlate.tick is not None
        self.now = at(told)
        self._left(await self.correlate.tick(self.now))

    def _left(self, outcome: Sequence[Envelope | Failed]) -> None:
        for item in outcome:
            if isinstance(item, Failed):
                assert str(item.error) == LEFT_OUT
                self.dead.append(item.envelope)
            elif item.kind == Kind.EVENT:
                assert isinstance(item.body, bytes)
                self.events.append(item.body)

    def records(self) -> list[JsonObject]:
        return [event["data"]["call"] for event in map(orjson.loads, self.events) if "call" in event["data"]]


def replaced(fact: Envelope) -> Envelope:
    """As the broker brings it."""
    row = orjson.loads(encode_envelope(fact))
    return Envelope(id=row["id"], kind=row["kind"], source=row["source"], at=fact.at, body=row["body"])


@pytest.fixture
async def pipe(store_rig: StoreRig) -> AsyncIterator[Pipe]:
    source = PrivateNumberSource(name=SOURCE, platform="huawei_privatenumber", tokens=["t" * 32])
    async with AsyncExitStack() as stack:
        claims = await stack.enter_async_context(store_rig.open_claims())
        sessions = await stack.enter_async_context(store_rig.open_sessions())
        made: list[Pipe] = []
        correlating = correlate(sessions, patience={}, progress=frozenset({SOURCE}), clock=lambda: made[0].now)
        deduping = dedupe(claims, sources={SOURCE: source}, dialects=DIALECTS, count=lambda *_: None)
        made.append(Pipe(store_rig, deduping, correlating))
        yield made[0]


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
