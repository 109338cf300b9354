"""The stores that tests run over, and the words that tests of stores are written in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Final, Protocol, TypeVar

import asyncpg
import orjson

from schemas.envelope import Envelope, JsonObject, Kind
from schemas.facts import Fact
from tests.building.facts import T0, a_cdr, kept, seconds
from workers.calls.kept import KeptFact
from workers.calls.session import Session
from workers.calls.step import Patience, Step, step
from workers.correlate import SessionStore, StepFunction
from workers.dedupe import Claim, ClaimStore, Receipt, Tally
from workers.park import ParkedStore
from workers.stores import postgresql, sqlite
from workers.stores.reads import Reads

SOURCE: Final = "huawei-bj"
PATIENCE: Final = Patience()
T = TypeVar("T")


class StoreRig(Protocol):
    """One kind of store, with state of this test's own that outlives each opened store."""

    def open_claims(self) -> AbstractAsyncContextManager[ClaimStore]: ...

    def open_sessions(self) -> AbstractAsyncContextManager[SessionStore]: ...

    def open_parked(self) -> AbstractAsyncContextManager[ParkedStore]: ...

    def open_reads(self) -> AbstractAsyncContextManager[Reads]: ...


@dataclass(frozen=True)
class SqliteRig:
    directory: Path

    def open_claims(self) -> AbstractAsyncContextManager[ClaimStore]:
        return sqlite.open_claims(self.directory)

    def open_sessions(self) -> AbstractAsyncContextManager[SessionStore]:
        return sqlite.open_sessions(self.directory)

    def open_parked(self) -> AbstractAsyncContextManager[ParkedStore]:
        return sqlite.open_parked(self.directory)

    def open_reads(self) -> AbstractAsyncContextManager[Reads]:
        return sqlite.open_reads(self.directory)


@dataclass(frozen=True)
class PostgresqlRig:
    dsn: str

    def open_claims(self) -> AbstractAsyncContextManager[ClaimStore]:
        return postgresql.open_claims(self.dsn)

    @asynccontextmanager
    async def open_sessions(self) -> AsyncIterator[SessionStore]:
        async with postgresql.open_sessions(self.dsn) as (store, _):
            yield store

    def open_parked(self) -> AbstractAsyncContextManager[ParkedStore]:
        return postgresql.open_parked(self.dsn)

    def open_reads(self) -> AbstractAsyncContextManager[Reads]:
        return postgresql.open_reads(self.dsn)


async def all_opened(rig: StoreRig, stack: AsyncExitStack) -> None:
    """Make every stage's tables, as a system does that has run."""
    await stack.enter_async_context(rig.open_claims())
    await stack.enter_async_context(rig.open_sessions())
    await stack.enter_async_context(rig.open_parked())


async def forget_everything(dsn: str) -> None:
    """Empty a database that other tests used."""
    connection = await asyncpg.connect(dsn)
    await connection.execute("DROP SCHEMA IF EXISTS callstitch CASCADE")
    await connection.close()


def a_claim(key: str, owner: str, *, version: str = "a", told: float = 0, source: str = SOURCE) -> Claim:
    """A claim on `key`; another `version` is another fingerprint."""
    fingerprint = sha256(version.encode()).hexdigest()
    return Claim(source=source, key=key, fingerprint=fingerprint, owner=owner, at=T0 + seconds(told))


def a_receipt(envelope_id: str, *claims: Claim, quarantined: int = 0, told: float = 0) -> Receipt:
    """The receipt of one notification."""
    return Receipt(
        envelope_id=envelope_id, source=SOURCE, at=T0 + seconds(told), quarantined=quarantined, claims=list(claims)
    )


async def claimed(store: ClaimStore, *claims: Claim, envelope: str = "n1") -> list[str]:
    """What each claim of one envelope was answered."""
    results = await store.claim([a_receipt(envelope, *claims)], [])
    return [results[claim.owner] for claim in claims]


def a_tally(envelope_id: str, answered: int, *, hour: str = f"{T0:%Y-%m-%dT%H}") -> Tally:
    """What ingest answered in an hour."""
    return Tally(envelope_id=envelope_id, source=SOURCE, hour=hour, answered=answered)


def at(told: float) -> datetime:
    """A moment, in seconds after T0."""
    return T0 + seconds(told)


def stepping(told: float, *, patience: Patience = PATIENCE) -> StepFunction:
    """The real step at that moment, as correlate binds it."""
    return partial(_step, now=at(told), patience=patience)


def _step(session: Session | None, news: Sequence[KeptFact], *, now: datetime, patience: Patience) -> Step:
    return step(session, news, now=now, patience=patience, trace="t")


async def fold(store: SessionStore, *facts: Fact, told: float, patience: Patience = PATIENCE) -> list[Envelope]:
    """Fold facts of any calls at that moment; returns what is to be published."""
    news: dict[str, list[KeptFact]] = {}
    for fact in facts:
        news.setdefault(fact.call_id, []).append(kept(fact))
    return list(await store.fold(news, stepping(told, patience=patience), at(told)))


async def marked(store: SessionStore, ids: Sequence[str], *, told: float) -> None:
    """They have left; a mark rides in the next transaction, as of a tick."""
    await store.sent(ids, at(told))
    await store.look(at(told))


def a_whole_call(session: str = "s1", *, told: float = 70, record: str = "r1") -> Fact:
    """A CDR that completes a call at once."""
    return a_cdr(record, session=session, told=told, implies=())


def types(envelopes: Sequence[Envelope]) -> list[str]:
    """Short types of the events among these."""
    return [body["type"].removeprefix("callstitch.").removesuffix(".v1") for body in map(event, envelopes) if body]


def event(envelope: Envelope) -> JsonObject:
    """The decoded event, or nothing for other work."""
    if envelope.kind != Kind.EVENT:
        return {}
    assert isinstance(envelope.body, bytes)
    body: JsonObject = orjson.loads(envelope.body)
    return body


async def asked(rig: StoreRig, question: Callable[[Reads], Awaitable[T]]) -> T:
    """What an operator is told, who opens the store for this one question."""
    async with rig.open_reads() as reads:
        return await question(reads)


async def ledger(rig: StoreRig) -> list[JsonObject]:
    """The ledger's rows, by source and hour."""
    return list(await asked(rig, lambda reads: reads.books.ledger()))
