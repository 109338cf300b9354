"""Traffic through both halves of a store, and what the ledger says of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg

from console.ledger.account import read_ledger
from console.ledger.equations import Difference, Sight, compare
from schemas.envelope import JsonObject
from schemas.facts import Fact
from tests.building.facts import T0, a_cdr, all_events
from tests.building.stores import PostgresqlRig, SqliteRig, StoreRig, a_receipt, a_whole_call, asked, fold, marked
from workers.correlate import SessionStore
from workers.dedupe import Claim, ClaimStore, Receipt

HOUR: Final = 3600
CLOSED: Final = T0 + timedelta(hours=3)
OPEN: Final = T0 + timedelta(hours=1, minutes=14)


def a_claim_of(fact: Fact) -> Claim:
    """As dedupe makes it."""
    return Claim(source=fact.source, key=fact.key, fingerprint=fact.fingerprint, owner=fact.id, at=fact.at)


def received(fact: Fact) -> Receipt:
    """The receipt of a notification that holds this fact alone."""
    return a_receipt(f"n|{fact.id}", a_claim_of(fact), told=(fact.at - T0).total_seconds())


async def passed_on(claims: ClaimStore, *facts: Fact) -> list[Fact]:
    """What dedupe hands to correlate of these, each pushed alone."""
    results = await claims.claim([received(fact) for fact in facts], [])
    return [fact for fact in facts if results[fact.id] != "duplicate"]


async def arrive(sessions: SessionStore, facts: Sequence[Fact]) -> None:
    """Fold what is folded, each at its own moment, and mark what it says as sent."""
    for fact in facts:
        told = (fact.at - T0).total_seconds()
        said = await fold(sessions, fact, told=told)
        await marked(sessions, [envelope.id for envelope in said], told=told)


async def an_hour_of_traffic(claims: ClaimStore, sessions: SessionStore) -> None:
    """Two calls, one amended; every notification came twice, and every fact was delivered twice."""
    facts = [*all_events(), a_cdr(told=70), a_cdr(told=90, user_data="x"), a_whole_call("s2")]
    for again in (0, 100):
        told = [replace(fact, id=f"{fact.id}|{again}", at=fact.at + timedelta(seconds=again)) for fact in facts]
        passed = await passed_on(claims, *told)
        await arrive(sessions, [*passed, *passed])


async def rows(rig: StoreRig, now: datetime = CLOSED) -> list[JsonObject]:
    return await asked(rig, lambda reads: read_ledger(reads.books, now=now))


async def found(rig: StoreRig, sight: Sight | None = None) -> list[Difference]:
    sight = sight or Sight(now=CLOSED)
    counted = await rows(rig, sight.now)
    return await asked(rig, lambda reads: compare(counted, sight, reads.books))


async def behind_the_back(rig: StoreRig, stage: str, statement: str, *values: Any) -> None:
    """Change the state as no store of ours would."""
    if isinstance(rig, SqliteRig):
        with closing(sqlite3.connect(rig.directory / f"{stage}.db")) as db, db:
            db.execute(statement, values)
        return
    assert isinstance(rig, PostgresqlRig)
    connection = await asyncpg.connect(rig.dsn)
    await connection.execute("SET search_path = callstitch")
    for n in range(len(values)):
        statement = statement.replace("?", f"${n + 1}", 1)
    await connection.execute(statement, *(value.encode() if isinstance(value, str) else value for value in values))
    await connection.close()
