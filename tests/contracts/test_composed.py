"""Dedupe and correlate in one process leave the tables and tell the events that they do apart, over both stores.

Whatever the order of pushes, however often each comes, and though batches of the one that is composed die between
their commit and their ack.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Final

import asyncpg
import orjson
import pytest

from console.emulator.huawei.privatenumber import payloads
from console.emulator.huawei.privatenumber.calls import build_calls
from console.emulator.moments import utc
from console.emulator.push import Content
from schemas.envelope import Envelope, Kind
from schemas.notification import Notification, to_json
from schemas.stage import Failed, Outcome
from tests.building.stores import SOURCE, PostgresqlRig, SqliteRig, StoreRig, at, forget_everything
from tests.contracts.pipe import Pipe, open_pipe, replaced
from workers.composed import composed

CALLS: Final = build_calls(seed=1, start=at(0), calls=6)
DEATH: Final = 0.3
LATER: Final = 2 * 24 * 3600  # seconds: everything that waits is due
TABLES: Final = ("claim", "receipt", "latest", "session", "outbox", "unsent")
SAMPLES: Final = Path(__file__).parents[2] / "console/samples/huawei_privatenumber"


@dataclass(frozen=True, kw_only=True)
class Left:
    """The bodies of each event by its id, what went elsewhere, and the rows of both stores."""

    events: Mapping[str, set[bytes]]
    aside: set[str]
    tables: Mapping[str, list[str]]


Way = Callable[[Pipe, Sequence[Envelope]], Awaitable[Sequence[Envelope]]]  # a batch through both; what leaves


@pytest.mark.parametrize("seed", range(4))
async def test_composed_leaves_the_tables_and_tells_the_events_of_both_apart(
    store_rig: StoreRig, tmp_path: Path, seed: int
) -> None:
    batches = [*_batches(Random(seed))]  # noqa: S311 - the same seed, the same traffic
    left_apart = await _left(store_rig, _apart, batches)
    async with _another(store_rig, tmp_path) as other:
        left_composed = await _left(other, _dying_composed(Random(seed)), batches)  # noqa: S311
    assert left_composed == left_apart
    assert len(left_apart.events) > 3 * len(CALLS)
    assert all(left_apart.tables[name] for name in ("claim", "receipt", "session", "outbox"))


def _batches(rng: Random) -> Iterator[Sequence[Envelope]]:
    """Each push up to three times, in any order, some pushes a batch."""
    bodies = [body for body in _bodies() for _ in range(rng.choice((1, 2, 2, 3)))]
    rng.shuffle(bodies)
    pushed = [_pushed(n, body) for n, body in enumerate(bodies)]
    while pushed:
        most = rng.randint(1, 9)
        yield pushed[:most]
        pushed = pushed[most:]


def _bodies() -> list[Content]:
    found: list[Content] = [json.loads((SAMPLES / name).read_bytes()) for name in ("ax-sms-notify.json",)]
    found.append({"eventType": "fee", "feeLst": [{"sessionId": 7}]})  # nobody can read it
    for call in CALLS:
        cdr = payloads.cdr(call)
        corrected = cdr | {"callEndTime": utc(max(call.times.values()) + timedelta(seconds=3))}
        found += [payloads.event(call, step) for step in call.times]
        found += [payloads.fee([one], app_key="k") for one in (cdr, corrected)]
    return found


def _pushed(n: int, body: Content) -> Envelope:
    raw = Notification(path="", remote="", content_type="application/json", body=json.dumps(body).encode())
    return Envelope(id=f"n{n}", kind=Kind.NOTIFICATION, source=SOURCE, at=at(n), body=to_json(raw))


async def _apart(pipe: Pipe, batch: Sequence[Envelope]) -> Sequence[Envelope]:
    return await _hopped(pipe, _none_failed(await pipe.dedupe.handle(batch)))


async def _hopped(pipe: Pipe, outcome: Sequence[Envelope]) -> Sequence[Envelope]:
    """What leaves both, with the facts of it through correlate as they come from its queue."""
    facts = [replaced(item) for item in outcome if item.kind == Kind.FACT]
    said = _none_failed(await pipe.correlate.handle(facts)) if facts else []
    return [*(item for item in outcome if item.kind != Kind.FACT), *said]


def _dying_composed(rng: Random) -> Way:
    """A batch that dies comes again, and takes the hop."""

    async def way(pipe: Pipe, batch: Sequence[Envelope]) -> Sequence[Envelope]:
        stage = composed(pipe.dedupe, pipe.correlate, fold=pipe.correlate.handle)
        outcome = _none_failed(await stage.handle(batch))
        assert not [item for item in outcome if item.kind == Kind.FACT]
        if rng.random() >= DEATH:
            return outcome
        assert stage.careful is not None
        return await _hopped(pipe, _none_failed(await stage.careful(batch)))

    return way


def _none_failed(outcome: Outcome) -> list[Envelope]:
    assert not [item for item in outcome if isinstance(item, Failed)], outcome
    return [item for item in outcome if isinstance(item, Envelope)]


async def _left(rig: StoreRig, way: Way, batches: Sequence[Sequence[Envelope]]) -> Left:
    """What these batches left behind."""
    events: defaultdict[str, set[bytes]] = defaultdict(set)
    aside: set[str] = set()

    async def leave(pipe: Pipe, envelopes: Sequence[Envelope]) -> None:
        for envelope in envelopes:
            if envelope.kind == Kind.EVENT:
                assert isinstance(envelope.body, bytes)
                events[orjson.loads(envelope.body)["id"]].add(envelope.body)
            else:
                aside.add(envelope.id)
        assert pipe.correlate.published is not None
        await pipe.correlate.published([envelope.id for envelope in envelopes])

    async with open_pipe(rig) as pipe:
        assert pipe.correlate.tick is not None
        for batch in batches:
            pipe.now = batch[-1].at
            await leave(pipe, await way(pipe, batch))
        while said := _none_failed(await pipe.correlate.tick(at(LATER))):  # the leases of what died are over too
            await leave(pipe, said)
    return Left(events=events, aside=aside, tables=await _tables(rig))


@asynccontextmanager
async def _another(rig: StoreRig, tmp_path: Path) -> AsyncIterator[StoreRig]:
    if isinstance(rig, PostgresqlRig):
        await forget_everything(rig.dsn)
        yield rig
    else:
        yield SqliteRig(tmp_path / "another")


async def _tables(rig: StoreRig) -> dict[str, list[str]]:
    """Every row but its number in the outbox."""
    if isinstance(rig, PostgresqlRig):
        connection = await asyncpg.connect(rig.dsn)
        try:
            asked = {name: f"SELECT * FROM callstitch.{name}" for name in (*TABLES, "amendment")}  # noqa: S608
            return {name: _rows(await connection.fetch(query)) for name, query in asked.items()}
        finally:
            await connection.close()
    assert isinstance(rig, SqliteRig)
    with closing(sqlite3.connect(rig.directory / "dedupe.db")) as db:
        db.row_factory = sqlite3.Row
        db.execute("ATTACH ? AS sessions", [str(rig.directory / "correlate.db")])
        return {name: _rows(db.execute(f"SELECT * FROM {name}")) for name in TABLES}  # noqa: S608


def _rows(rows: Iterable[Mapping[str, object]]) -> list[str]:
    return sorted(repr({name: row[name] for name in row.keys() if name != "n"}) for row in rows)  # noqa: SIM118
