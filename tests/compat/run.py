"""The recorded run: pushes go through dedupe, correlate and park at moments that the script names; all is written down.

Ids, traces, message ids and the clock are told, so two programs that do the same write the same.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from tests.compat.adapter import Product, open_product, wanted_back, wire_forms
from tests.compat.recorded import Message, Push
from tests.compat.wanted import topology_of
from workers.stores.sessions import taken_over

RECEIVED: Final = "callstitch.received.v1"
UNIQUE: Final = "callstitch.unique.v1"
RECORDINGS: Final = "callstitch.recordings.v1"
PARKED: Final = {
    "callstitch.quarantine.v1": "park.quarantine",
    "callstitch.dead.v1": "park.dead",
    "callstitch.unrouted.v1": "park.unrouted",
}
BUNDLE: Final = "application/vnd.callstitch.bundle+json"

Row = dict[str, Any]


async def played(
    config: Path, pushes: Sequence[Push], script: Sequence[Mapping[str, Any]], directory: Path, told: list[str]
) -> AsyncIterator[Row]:
    """A row for each push, then one for each step of the script, then what the state files hold.

    `told` gets the bundles of facts that correlate was given, each before the row of its step.
    """
    async with open_product(config, directory) as product:
        run = _Run(product, pushes, told)
        for n, push in enumerate(pushes):
            yield {"what": f"push {n}, of {push.source}", "gave": product.reads(push)}
        for n, step in enumerate(script):
            yield {"what": f"step {n}, {step['do']} at {step['at']}", "do": step, "gave": await run.step(step)}
        yield {"what": "counts", "gave": dict(sorted(product.counted.items()))}
        yield {"what": "wire", "gave": wire_forms(run.received[0][0].body.encode(), run.last_event)}
    for what, row in _tables(directory):
        yield {"what": what, "gave": row}
    async for row in _replayed(config, directory):
        yield row
    yield {"what": "topology", "gave": topology_of(config)}


@dataclass
class _Run:
    product: Product
    pushes: Sequence[Push]
    told: list[str]
    envelopes: int = 0
    received: list[list[Message]] = field(default_factory=list)  # a list for each step that pushed
    unique: list[list[Message]] = field(default_factory=list)
    wanted: list[Row] = field(default_factory=list)  # recordings that nobody has fetched yet
    last_event: Message = field(init=False)

    async def step(self, step: Mapping[str, Any]) -> Row:
        self.product.clock.now = datetime.fromisoformat(step["at"])
        match step["do"]:
            case "push":
                return await self._push(step["pushes"], earlier=timedelta(seconds=step.get("earlier", 0)))
            case "again":
                return await self._deduped(self.received[step["of"]])
            case "unique again":
                return await self._correlated(self.unique[step["of"]])
            case "recordings":
                return await self._recordings(step["ends"])
            case _:
                return await self._tick()

    async def _push(self, numbers: Sequence[int], *, earlier: timedelta) -> Row:
        """A bundle of the door's; `earlier`: how long ago the door took them."""
        at = self.product.clock.now - earlier
        envelopes = []
        for number in numbers:
            self.envelopes += 1
            name, trace = f"{self.envelopes:032x}", f"00-{self.envelopes:032x}-{self.envelopes:016x}-01"
            envelope_id = f"{name[:8]}-{name[8:12]}-7{name[13:16]}-a{name[17:20]}-{name[20:]}"
            envelopes += self.product.accepts(self.pushes[number], envelope_id, at, trace)
        envelopes.append(
            self.product.tally(f"tally-{self.envelopes}", self.pushes[numbers[0]].source, at, len(numbers))
        )
        received = self.product.packed(envelopes)
        self.received.append([message for message in received if message.routing_key == RECEIVED])
        decided = [message for message in received if message.routing_key == UNIQUE]
        return {
            "door": [_short(m) for m in received],
            **await self._deduped(self.received[-1]),
            **({"decided": await self._correlated(decided)} if decided else {}),
        }

    async def _deduped(self, messages: Sequence[Message]) -> Row:
        made, failed = await self.product.works("dedupe", RECEIVED, messages)
        self.unique.append([message for message in made if message.routing_key == UNIQUE])
        await self._parked(made)
        gave = {"dedupe": [message.row() for message in made], "failed": failed}
        return {**gave, **await self._correlated(self.unique[-1])}

    async def _correlated(self, messages: Sequence[Message]) -> Row:
        self.told += [message.body for message in messages]
        made, failed = await self.product.works("correlate", UNIQUE, messages) if messages else ([], [])
        return {"correlate": self._left(made), "correlate failed": failed}

    async def _recordings(self, ends: Sequence[str]) -> Row:
        """Each recording that is wanted ends: what fetch_recording would say of it, as it stands on the wire."""
        wanted, self.wanted = self.wanted, []
        facts = [_ended(one, ends[n % len(ends)]) for n, one in enumerate(wanted)]
        body = json.dumps(facts, ensure_ascii=False, separators=(",", ":"))
        told = Message(
            exchange="", routing_key=UNIQUE, body=body, content_type=BUNDLE, message_id="fetched", headers={}
        )
        return await self._correlated([told] if facts else [])

    async def _tick(self) -> Row:
        return {"dedupe": self._left(await self.product.ticks("dedupe")), "correlate": await self._correlate_tick()}

    async def _correlate_tick(self) -> list[Any]:
        return self._left(await self.product.ticks("correlate"))

    def _left(self, made: Sequence[Message]) -> list[Any]:
        """What correlate says: recordings to be fetched are remembered."""
        for message in made:
            if message.routing_key == RECORDINGS:
                self.wanted += json.loads(message.body)
            if message.exchange == "calls":
                self.last_event = message
        return [message.row() for message in made]

    async def _parked(self, made: Sequence[Message]) -> None:
        for queue, stage in PARKED.items():
            if mine := [message for message in made if message.routing_key == queue]:
                await self.product.works(stage, queue, mine)


def _short(message: Message) -> list[Any]:
    """Its body is the pushes over again, so its hash will do."""
    row = message.row()
    return [*row[:2], sha256(message.body.encode()).hexdigest(), len(message.body), *row[3:]]


def _ended(wanted: Mapping[str, Any], state: str) -> Row:
    order, source = wanted["body"], wanted["source"]
    stored = {
        "place": f"{source}/{order['key']}.wav",
        "bytes": 1000,
        "sha256": "a" * 64,
        "seconds": 1.5,
        "format": "wav",
    }
    failed = {"place": None, "bytes": None, "sha256": None, "seconds": None, "format": None, "reason": "no_such_file"}
    body = {"key": order["key"], "state": state, **({**stored, "reason": None} if state == "stored" else failed)}
    fact = {
        "id": f"{order['key']}-{state}",
        "kind": "recording",
        "source": source,
        "platform": "any",
        "session_id": order["session_id"],
        "key": f"recording|{order['key']}",
        "fingerprint": sha256(json.dumps(body).encode()).hexdigest(),
        "at": wanted["at"],
        "body": body,
    }
    return {**wanted, "id": fact["id"], "kind": "fact", "body": fact}


_TABLES: Final = {
    "dedupe.db": (
        "SELECT hex(key), hex(fingerprint), owner, at, source FROM claim ORDER BY 1, 2",
        "SELECT * FROM receipt ORDER BY 1",
        "SELECT * FROM tally ORDER BY 1",
    ),
    "correlate.db": (
        "SELECT id, source, state, revision, status, hour, due_at, updated_at, arrived, said FROM session ORDER BY 1",
        "SELECT id, call_id, route, envelope, leased_at IS NULL FROM outbox LEFT JOIN unsent USING (n) ORDER BY n",
        "SELECT * FROM tombstone ORDER BY 1",
    ),
    "park.db": ("SELECT * FROM parked ORDER BY 1",),
}


def _tables(directory: Path) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, queries in _TABLES.items():
        with closing(sqlite3.connect(directory / name)) as db:
            schema = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY 1"
            found += [(f"{name}: {table}", sql) for table, sql in db.execute(schema)]
            found.append((f"{name}: version", db.execute("SELECT version FROM meta").fetchall()))
            for query in queries:
                table = query.partition(" FROM ")[2].split()[0]
                rows = [_with_its_record(db, row) if table == "session" else row for row in db.execute(query)]
                found += [(f"{name}: {table} {row[0]}", list(map(_cell, row))) for row in rows]
    return found


def _with_its_record(db: sqlite3.Connection, row: tuple[Any, ...]) -> tuple[Any, ...]:
    """The row of a session as it was when the state held what was said last, which the outbox holds now."""
    *columns, said = row
    query = "SELECT envelope FROM outbox WHERE call_id = ? AND id = ?"
    if said is not None:
        columns[2] = taken_over(columns[2], *db.execute(query, (row[0], said)).fetchone())
    return tuple(columns)


def _cell(value: object) -> object:
    return value.decode() if isinstance(value, bytes) else value


async def _replayed(config: Path, directory: Path) -> AsyncIterator[Row]:
    """What goes back into the flow when an operator wants all that is parked."""
    with closing(sqlite3.connect(directory / "park.db")) as db:
        ids = [row[0] for row in db.execute("SELECT id FROM parked ORDER BY 1")]
    await wanted_back(directory, ids)
    async with open_product(config, directory) as product:
        for stage in PARKED.values():
            for message in await product.ticks(stage):
                yield {"what": f"replayed by {stage}", "gave": _short(message)}
