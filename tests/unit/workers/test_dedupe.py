"""What dedupe passes on and counts of a batch, over the real store and a real dialect."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

import orjson
import pytest

from schemas.envelope import Envelope, JsonObject, Kind, encode_envelope
from schemas.errors import Malformed
from schemas.facts import Parsed
from schemas.notification import Notification, to_json
from schemas.platforms import DIALECTS
from schemas.platforms.huawei.privatenumber.settings import PrivateNumberSource
from schemas.stage import Failed, Stage
from tests.building.pushes import a_push
from tests.building.stores import SOURCE, SqliteRig, at
from workers.dedupe import ClaimResult, ClaimStore, Receipt, Tally, dedupe

Counts = dict[tuple[str, str], int]

SOURCES: Final = {SOURCE: PrivateNumberSource(name=SOURCE, platform="huawei_privatenumber", tokens=["t" * 32])}


@pytest.fixture
def counts() -> Counts:
    return {}


@pytest.fixture
async def stage(tmp_path: Path, counts: Counts) -> AsyncIterator[Stage]:
    def count(source: str, result: str, number: int) -> None:
        counts[source, result] = counts.get((source, result), 0) + number

    async with SqliteRig(tmp_path).open_claims() as store:
        yield dedupe(store, sources=SOURCES, dialects=DIALECTS, count=count)


def pushed(envelope_id: str, *records: JsonObject, told: float = 0) -> Envelope:
    """One push of these CDRs."""
    body = to_json(a_push({"eventType": "fee", "feeLst": list(records)}))
    return Envelope(id=envelope_id, kind=Kind.NOTIFICATION, source=SOURCE, at=at(told), body=body)


def a_record(number: int, **told: object) -> JsonObject:
    return {"sessionId": f"s{number}", "icid": f"r{number}", **told}


async def outcome(stage: Stage, *batch: Envelope) -> Mapping[str, list[str]]:
    """The record ids of what left, by kind; the reasons of what went to quarantine."""
    left: dict[str, list[str]] = {}
    for item in await stage.handle(batch):
        assert not isinstance(item, Failed)
        body = orjson.loads(item.body) if isinstance(item.body, bytes) else item.body
        left.setdefault(item.kind, []).append(body["body"]["record_id"] if item.kind == Kind.FACT else body["reason"])
    return left


async def test_every_item_of_a_batch_is_counted_by_what_became_of_it(stage: Stage, counts: Counts) -> None:
    known = pushed("n1", a_record(1), a_record(2), told=10)
    assert await outcome(stage, known) == {"fact": ["r1", "r2"]}
    assert counts == {(SOURCE, "new"): 2}
    again = pushed("n2", a_record(1), a_record(2, userData="x"), {"bindNum": "r3"}, told=20)
    left = await outcome(stage, known, again, pushed("n3", a_record(4), a_record(1), told=20))
    assert left == {"fact": ["r1", "r2", "r2", "r4"], "quarantined": ["no_session_id"]}
    assert counts == {
        (SOURCE, "new"): 3,
        (SOURCE, "mine"): 2,
        (SOURCE, "amended"): 1,
        (SOURCE, "duplicate"): 2,
        (SOURCE, "quarantined"): 1,
    }


async def test_a_push_is_quarantined_once_however_many_of_its_items_are_bad(stage: Stage, counts: Counts) -> None:
    """A thousand bad items of a push of 1 MiB were a thousand copies of it."""
    push = pushed("n1", *({"bindNum": "x" * 1000} for _ in range(500)), {"sessionId": "s", "callInTime": "noon"})
    (quarantined,) = await stage.handle([push])
    assert isinstance(quarantined, Envelope)
    assert isinstance(quarantined.body, dict)
    told = {name: what for name, what in quarantined.body.items() if name != "envelope"}
    assert len(told.pop("first")) == 20
    assert told == {
        "reason": "bad_time, no_session_id",
        "stage": "dedupe",
        "items": 501,
        "bad": 501,
        "reasons": {"no_session_id": 500, "bad_time": 1},
    }
    assert quarantined.body["envelope"] == orjson.loads(encode_envelope(push))
    assert counts == {(SOURCE, "quarantined"): 501}
    assert len(encode_envelope(quarantined)) < len(encode_envelope(push)) + 4096


async def test_an_earlier_telling_is_passed_on_and_counts_as_a_duplicate(stage: Stage, counts: Counts) -> None:
    assert await outcome(stage, pushed("n2", a_record(1), told=20)) == {"fact": ["r1"]}
    assert await outcome(stage, pushed("n1", a_record(1), told=10)) == {"fact": ["r1"]}
    assert counts == {(SOURCE, "new"): 1, (SOURCE, "duplicate"): 1}


async def test_what_gzip_makes_of_a_batch_is_claimed_a_few_mib_at_a_time(tmp_path: Path) -> None:
    """Sixteen pushes of some 20 KB each may be 16 MiB, and twenty times as much as objects."""
    async with SqliteRig(tmp_path).open_claims() as store:
        spy = Spy(store)
        stage = dedupe(spy, sources=SOURCES, dialects=DIALECTS, count=lambda *_: None)
        batch = [packed(f"n{n}", a_record(n, pad=hashlib.shake_128(b"%d" % n).hexdigest(250_000))) for n in range(16)]
        tally = Envelope(
            id="t", kind=Kind.TALLY, source=SOURCE, at=at(0), body={"hour": "2026-11-21T08", "answered": 16}
        )
        left = await outcome(stage, *batch[:8], tally, *batch[8:])
    assert left == {"fact": [f"r{n}" for n in range(16)]}
    assert [receipts for receipts, _ in spy.asked] == [5, 5, 5, 1]
    assert sum(tallies for _, tallies in spy.asked) == 1


class Spy:
    """The store, with how many receipts and tallies it was asked about at a time."""

    def __init__(self, store: ClaimStore) -> None:
        self._store = store
        self.asked: list[tuple[int, int]] = []

    async def claim(self, receipts: Sequence[Receipt], tallies: Sequence[Tally]) -> Mapping[str, ClaimResult]:
        self.asked.append((len(receipts), len(tallies)))
        return await self._store.claim(receipts, tallies)

    async def look(self, now: datetime) -> Mapping[str, int]:
        return await self._store.look(now)

    async def expire(self, now: datetime, limit: int) -> int:
        return await self._store.expire(now, limit)


def packed(envelope_id: str, *records: JsonObject) -> Envelope:
    push = a_push({"eventType": "fee", "feeLst": list(records)})
    push = replace(push, headers={"content-encoding": "gzip"}, body=gzip.compress(push.body, mtime=0))
    return Envelope(id=envelope_id, kind=Kind.NOTIFICATION, source=SOURCE, at=at(0), body=to_json(push))


@pytest.mark.parametrize(
    "push",
    [pushed("n1", a_record(1, pad="x" * 64 * 1024)), packed("n1", a_record(1))],
    ids=["large", "gzip"],
)
async def test_what_is_or_may_become_large_is_read_off_the_loop(tmp_path: Path, push: Envelope) -> None:
    """167 KB of gzip kept the door and its probes waiting for 5 s."""
    alive = threading.Event()
    real = DIALECTS["huawei_privatenumber"]

    def parse(notification: Notification, source: PrivateNumberSource) -> Sequence[Parsed | Malformed]:
        assert alive.wait(timeout=30), "nobody else had a turn meanwhile"
        return real.parse(notification, source)

    async with SqliteRig(tmp_path).open_claims() as store:
        dialects = {**DIALECTS, "huawei_privatenumber": replace(real, parse=parse)}
        stage = dedupe(store, sources=SOURCES, dialects=dialects, count=lambda *_: None)
        asyncio.get_running_loop().call_soon(alive.set)
        assert await outcome(stage, push) == {"fact": ["r1"]}


async def test_in_a_batch_larger_than_one_question_to_the_store_all_that_is_known_is_found(stage: Stage) -> None:
    """A new CDR stands at both ends, so that an answer about a part cannot be taken for the whole."""
    known = [a_record(number) for number in range(1, 250)]
    assert len((await outcome(stage, pushed("n1", *known)))["fact"]) == len(known)
    left = await outcome(stage, pushed("n2", a_record(0), *known, a_record(250), told=20))
    assert left == {"fact": ["r0", "r250"]}
