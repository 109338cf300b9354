"""What dedupe passes on and counts of a batch, over the real store and a real dialect."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import orjson
import pytest

from schemas.envelope import Envelope, JsonObject, Kind, encode_envelope
from schemas.notification import to_json
from schemas.platforms import DIALECTS
from schemas.platforms.huawei.privatenumber.settings import PrivateNumberSource
from schemas.stage import Failed, Stage
from tests.building.pushes import a_push
from tests.building.stores import SOURCE, SqliteRig, at
from workers.dedupe import dedupe

Counts = dict[tuple[str, str], int]


@pytest.fixture
def counts() -> Counts:
    return {}


@pytest.fixture
async def stage(tmp_path: Path, counts: Counts) -> AsyncIterator[Stage]:
    def count(source: str, result: str, number: int) -> None:
        counts[source, result] = counts.get((source, result), 0) + number

    sources = {SOURCE: PrivateNumberSource(name=SOURCE, platform="huawei_privatenumber", tokens=["t" * 32])}
    async with SqliteRig(tmp_path).open_claims() as store:
        yield dedupe(store, sources=sources, dialects=DIALECTS, count=count)


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
    again = pushed("n2", a_record(1), a_record(2, userData="x"), {"icid": "r3"}, told=20)
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
    push = pushed("n1", *({"icid": "x" * 1000} for _ in range(500)), {"sessionId": "s", "callInTime": "noon"})
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


async def test_in_a_batch_larger_than_one_question_to_the_store_all_that_is_known_is_found(stage: Stage) -> None:
    """A new CDR stands at both ends, so that an answer about a part cannot be taken for the whole."""
    known = [a_record(number) for number in range(1, 250)]
    assert len((await outcome(stage, pushed("n1", *known)))["fact"]) == len(known)
    left = await outcome(stage, pushed("n2", a_record(0), *known, a_record(250), told=20))
    assert left == {"fact": ["r0", "r250"]}
