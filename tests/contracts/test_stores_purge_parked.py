"""What is erased of parked messages, and what comes back after it; nothing here is skipped for either store."""

from __future__ import annotations

import asyncio
import gzip
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import replace
from pathlib import Path

import asyncpg
import orjson
import pytest

from console.purging import of_call, of_number
from runtime.wire import dead_envelope, quarantined
from schemas.envelope import Envelope, JsonObject, Kind, encode_envelope
from schemas.notification import Notification, to_json
from tests.building.facts import T0, a_cdr, enveloped
from tests.building.stores import PostgresqlRig, SqliteRig, StoreRig, a_whole_call, asked, at, fold
from tests.contracts.test_shown_numbers import command, logs_as_before
from workers.park import Parked, ParkedStore, park, revived
from workers.stores.erasing import keyed_id
from workers.stores.places import Row
from workers.stores.postgresql.purge import PURGING
from workers.stores.sqlite.purge import rows
from workers.stores.sweep import SWEEP_BYTES

__all__ = ["logs_as_before"]
EMPTYING: Sequence[Callable[[ParkedStore], Awaitable[int]]] = [
    lambda store: store.purge(["p1"]),
    lambda store: store.expire("dead", at(100), 10),
    lambda store: store.expire("quarantine", at(100), 10),
]


def a_push(body: bytes, *, source: str = "huawei-bj", envelope_id: str = "n1") -> Envelope:
    push = Notification(path="/fee", remote="192.0.2.1", content_type="", body=body)
    return Envelope(id=envelope_id, kind=Kind.NOTIFICATION, source=source, at=T0, body=to_json(push))


def a_row(envelope: Envelope, parked_id: str = "p1", *, box: str = "quarantine") -> Parked:
    away = quarantined if box == "quarantine" else dead_envelope
    raw = encode_envelope(replace(away(envelope, reason="odd", stage="callstitch.unique.v1"), id=parked_id))
    return Parked(
        id=parked_id,
        box=box,
        stage="dedupe",
        source="huawei-bj",
        reason="odd",
        signature="s",
        at=at(1),
        raw=raw,
    )


async def shown(rig: StoreRig, box: str) -> JsonObject:
    (row,) = await asked(rig, lambda reads: reads.parked(box, wanted="p1", limit=2))
    return row


@pytest.mark.parametrize("box", ["quarantine", "dead"])
@pytest.mark.parametrize("empty", EMPTYING[:2])
async def test_what_went_back_and_was_emptied_and_fails_again_is_whole_again(
    store_rig: StoreRig, box: str, empty: Callable[[ParkedStore], Awaitable[int]]
) -> None:
    """It came back as parked, and hollow: nothing could bring it into the flow any more."""
    message = a_row(a_push(b"{} of 13811110021"), box=box)
    if empty is EMPTYING[1] and box == "quarantine":
        empty = EMPTYING[2]
    async with store_rig.open_parked() as store:
        await store.park([message])
        await store.want(["p1"])
        await store.replayed(["p1"], at(2))
        assert await empty(store) == 1
        assert b"13811110021" not in orjson.dumps((await shown(store_rig, box))["raw"])

        await store.park([replace(message, at=at(200))])
        back = await shown(store_rig, box)
        assert (back["state"], back["raw"]) == ("parked", orjson.loads(message.raw))
        assert await store.want(["p1"]) == 1
        ((_, raw),) = await store.wanted(box, 10)
        assert revived(raw) is not None
        await store.unwanted(["p1"])
        assert await store.expire(box, at(300), 10) == 1, "it is emptied again in its time"


async def test_what_went_back_lately_is_not_emptied(store_rig: StoreRig) -> None:
    """It may be on its way still, and fail again."""
    async with store_rig.open_parked() as store:
        await store.park([a_row(a_push(b"{}"))])
        await store.want(["p1"])
        await store.replayed(["p1"], at(500))
        assert await store.expire("quarantine", at(499), 10) == 0
        assert await store.expire("quarantine", at(500), 10) == 1


async def test_rows_of_one_push_go_back_as_one(store_rig: StoreRig) -> None:
    """An old state holds a row for every bad item, each with the whole push; N rows made N * (N + 1) / 2 pushes."""
    async with store_rig.open_parked() as store:
        rows = [a_row(a_push(b"{}"), f"p{n}") for n in range(3)]
        await store.park([*rows, a_row(a_push(b"{}", envelope_id="n2"), "p3")])
        await store.want(["p0", "p1", "p2", "p3"])
        stage = park(store, box="quarantine", clock=lambda: at(9))
        assert stage.tick is not None
        assert stage.published is not None
        going = await stage.tick(at(9))
        assert sorted(one.id for one in going) == ["n1", "n2"]
        await stage.published([one.id for one in going])
        assert await stage.tick(at(9)) == []
        assert [row.state for row in await asked(store_rig, lambda reads: reads.books.parked())] == ["replayed"]


@pytest.mark.parametrize(
    ("call_id", "body", "held"),
    [
        ("huawei-bj:7", b'{"sessionId": "7"}', True),
        ("huawei-bj:7", b"{}", False),
        ("huawei-bj:1", b'{"n": 1, "at": "2026-11-01 00:00:01", "text": "1 or 2"}', False),
        ("huawei-bj:s1", b'{"sessionId": "s11", "other": "xs1"}', False),
        ("huawei:s1", b'{"sessionId": "s1"}', False),
        ("huawei-bj:s1", b'{"sessionId":"s1', True),
        ("huawei-bj:s1", b'{"sessionId":"s1"} and more', True),
        ("huawei-bj:s1", b"callId=s1&x=1", True),
        ("huawei-bj:10203040", b'{"callId": 10203040}', True),
        ("huawei-bj:s\xe9", b'{"feeLst": [{"sessionId": "s\\u00e9"}]}', True),
        ("huawei-bj:s1", gzip.compress(b'{"sessionId": "s1"}', mtime=0), True),
        ("huawei-bj:s1", b'{"text": "\xff", "sessionId": "s1"}', True),
    ],
)
def test_a_parked_push_is_of_a_call_only_if_it_is_of_its_source_and_holds_its_id(
    call_id: str, body: bytes, *, held: bool
) -> None:
    push = replace(a_push(body), attempt=7)
    assert of_call(call_id)("parked", Row("p1", None, a_row(push).raw)) is held


def test_a_dead_fact_is_of_its_call_only() -> None:
    raw = a_row(enveloped(a_cdr()), box="dead").raw
    assert of_call("huawei-bj:s1")("parked", Row("p1", None, raw))
    assert not of_call("huawei-bj:s")("parked", Row("p1", None, raw))


@pytest.mark.parametrize("call_id", ["", "7", ":7", "huawei-bj:", ":"])
async def test_what_is_no_whole_id_and_no_known_call_is_refused(
    store_rig: StoreRig, tmp_path: Path, call_id: str
) -> None:
    """It emptied every parked message."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(store_rig.open_sessions())
        store = await stack.enter_async_context(store_rig.open_parked())
        await store.park([a_row(a_push(b"{}"))])
        refused = await command(store_rig, tmp_path, "purge", "--call", call_id, code=2)
        assert "give the whole id, <source>:<id>" in refused
        assert (await shown(store_rig, "quarantine"))["state"] == "parked"


async def test_the_command_tells_that_a_parked_message_is_going_back(store_rig: StoreRig, tmp_path: Path) -> None:
    """On SQLite the owner of the state is asked, and counts alike."""
    if not isinstance(store_rig, PostgresqlRig):
        return
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(store_rig.open_sessions())
        store = await stack.enter_async_context(store_rig.open_parked())
        await store.park([a_row(a_push(b"of 13811110021"))])
        await store.want(["p1"])
        told = await command(store_rig, tmp_path, "purge", "--number", "13811110021", code=1)
        assert "erased: 0 call(s), 0 other event(s), 0 parked message(s)" in told
        assert "not yet: 1 parked message(s): they are going back" in told
        await store.replayed(["p1"], at(2))
        told = await command(store_rig, tmp_path, "purge", "--number", "13811110021")
        assert "erased: 0 call(s), 0 other event(s), 1 parked message(s)" in told


async def test_what_is_searched_and_emptied_is_taken_some_mib_at_a_time(store_rig: StoreRig) -> None:
    """Up to 500 messages of some MiB were held at once, and emptied in one transaction."""
    ids = [f"p{n}" for n in range(5)]
    async with store_rig.open_parked() as store:
        for parked_id in ids:
            message = a_row(a_push(b"{}"), parked_id)
            await store.park([replace(message, raw=message.raw + b" " * (SWEEP_BYTES // 2))])
        async with store_rig.open_reads() as reads:
            assert [row.id async for row in reads.rows("parked")] == ids
        if isinstance(store_rig, SqliteRig):
            with closing(sqlite3.connect(store_rig.directory / "park.db")) as db:
                assert [row.id for _, row in rows(db, "parked", None)] == ["p0", "p1"]
        assert await store.purge(ids) == 5
    if isinstance(store_rig, PostgresqlRig):
        connection = await asyncpg.connect(store_rig.dsn)
        assert await connection.fetchval("SELECT count(DISTINCT xmin::text) FROM callstitch.parked") == 3
        await connection.close()


async def test_a_call_whose_first_fold_is_under_way_is_erased_after_it(store_rig: StoreRig) -> None:
    """It was not seen, and stayed; SQLite has one owner, who does one after the other."""
    if not isinstance(store_rig, PostgresqlRig):
        return
    async with store_rig.open_sessions() as sessions:
        await sessions.sent([one.id for one in await fold(sessions, a_whole_call("s2"), told=70)], at(80))
        other = await asyncpg.connect(store_rig.dsn)
        fold_of_it = other.transaction()
        await fold_of_it.start()
        await other.execute(f"SELECT pg_advisory_xact_lock_shared({PURGING})")
        await other.execute(
            "INSERT INTO callstitch.session SELECT 'huawei-bj:s3'::bytea, source, state, revision, status, hour,"
            " due_at, updated_at, arrived FROM callstitch.session"
        )
        purge = asyncio.create_task(sessions.purge(["huawei-bj:s3"], [], at(90)))
        await asyncio.wait({purge}, timeout=0.5)
        await fold_of_it.commit()
        assert await purge == {}
        ids = await other.fetch("SELECT id FROM callstitch.session WHERE id NOT LIKE '%:erased:%'")
        assert [row["id"] for row in ids] == [b"huawei-bj:s2"]
        await other.close()


async def test_a_call_is_not_begun_while_it_is_being_erased(store_rig: StoreRig) -> None:
    """A fold that had looked for its tombstone before the purge committed would bring it back."""
    if not isinstance(store_rig, PostgresqlRig):
        return
    async with store_rig.open_sessions() as sessions:
        other = await asyncpg.connect(store_rig.dsn)
        purge = other.transaction()
        await purge.start()
        await other.execute(f"SELECT pg_advisory_xact_lock({PURGING})")
        first_fold = asyncio.create_task(fold(sessions, a_whole_call("s3"), told=70))
        assert await asyncio.wait({first_fold}, timeout=0.3) == (set(), {first_fold})
        keyed = keyed_id("huawei-bj:s3", sessions._purge_key).encode()  # type: ignore[attr-defined]
        await other.execute("INSERT INTO callstitch.tombstone VALUES ($1, 0, 'open', now())", keyed)
        await purge.commit()
        assert await first_fold == []
        await other.close()


async def test_nothing_is_left_of_a_lock_on_a_call_that_is_not_known(store_rig: StoreRig) -> None:
    async with store_rig.open_sessions() as sessions:
        assert await sessions.purge(["huawei-bj:never"], [], at(90)) == {}
        assert await asked(store_rig, lambda reads: reads.session("huawei-bj:never")) is None


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("2026-11-21T08:00:34.123456Z", False),
        ('"at":"2026-11-21 08:00:34.123456+08:00"', False),
        ("2026-11-21T08:00:34.123456Z of 34-123-456", True),
        ("34.123456", True),
    ],
)
def test_a_number_is_not_found_within_a_time(text: str, *, held: bool) -> None:
    assert of_number("34123456")("parked", Row("p1", None, text.encode())) is held


def test_a_number_is_not_found_within_a_date() -> None:
    means = of_number("20261121")
    assert not means("parked", Row("p1", None, b"on 2026-11-21 and 2026-11-21 08:00"))
    assert means("parked", Row("p1", None, b"2026-11-21, 2026 1121"))
