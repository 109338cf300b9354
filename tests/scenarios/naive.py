"""Our way to do it, and those that everybody writes first: each of them loses or lies when a process dies.

The naive ones are the simulation's controls: an oracle that lets one of them pass sees nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import orjson
from pydantic import SecretStr

from schemas.dialect.dialect import AnyDialect
from schemas.envelope import Envelope, Kind
from schemas.errors import Malformed
from schemas.facts import FactKind, Parsed, Recording
from schemas.notification import Notification
from schemas.platforms import DIALECTS
from schemas.platforms.huawei.privatenumber.settings import PrivateNumberSource
from schemas.recording import wanted_from_json
from schemas.stage import Stage
from schemas.topology import RECEIVED, RECORDINGS, UNIQUE
from tests.scenarios.simulation import MemoryFile, Order, Work, World, moment
from workers.calls.kept import KeptFact
from workers.calls.session import Session, version_key
from workers.calls.step import Patience, Step
from workers.composed import composed
from workers.correlate import News, SessionStore, StepFunction, correlate
from workers.dedupe import ClaimResult, ClaimStore, Receipt, Tally, dedupe
from workers.fetch_recording import recording_fact
from workers.stores.sqlite.claims import CLAIMS_MIGRATIONS, SqliteClaims
from workers.stores.sqlite.file import SqliteFile
from workers.stores.sqlite.schema import SESSIONS_MIGRATIONS
from workers.stores.sqlite.sessions import SqliteSessions

SOURCE: Final = PrivateNumberSource(name="huawei", platform="huawei_privatenumber", tokens=(SecretStr("t"),))
PATIENCE: Final = Patience(settle=timedelta(seconds=2), cdr_wait=timedelta(seconds=40), open_max=timedelta(seconds=60))
_DIALECT: Final = DIALECTS["huawei_privatenumber"]

T = TypeVar("T")


async def ours(work: Work) -> None:
    """Commit, publish, mark, ack: the order of runtime/settle.py."""
    outputs = await work.outputs()
    await work.publish(outputs)
    await work.mark(outputs)
    await moment()
    work.ack()


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A way to do the job: ours, unless the order of steps or a part is replaced."""

    name: str = "ours"
    order: Order = ours
    dialect: AnyDialect = _DIALECT
    claims: Callable[[SqliteFile], ClaimStore] = SqliteClaims
    sessions: Callable[[SqliteFile, bytes], SessionStore] = SqliteSessions

    def starts(self, world: World, audio: Mapping[str, Mapping[str, Any]]) -> dict[str, Callable[[], Stage]]:
        """What starts the stage of each queue, over files that outlive it; `audio` is what the platform serves.

        What a store of sessions keeps in memory, such as marks, dies with its process.
        """
        claims = self.claims(MemoryFile(world, CLAIMS_MIGRATIONS))
        file = MemoryFile(world, SESSIONS_MIGRATIONS)
        sources, names, patience = {SOURCE.name: SOURCE}, frozenset({SOURCE.name}), {SOURCE.name: PATIENCE}
        dialects = {str(SOURCE.platform): self.dialect}

        async def fetched(batch: Sequence[Envelope]) -> list[Envelope]:
            return [_stored(envelope, audio) for envelope in batch]

        return {
            RECEIVED: lambda: dedupe(claims, sources=sources, dialects=dialects, count=lambda *_: None),
            UNIQUE: lambda: correlate(
                self.sessions(file, b"a key"), patience=patience, progress=names, clock=lambda: world.now
            ),
            RECORDINGS: lambda: Stage(fetched),
        }


def _stored(envelope: Envelope, audio: Mapping[str, Mapping[str, Any]]) -> Envelope:
    """A model of fetch_recording: every fetch succeeds and, done twice, makes the same fact."""
    assert isinstance(envelope.body, dict)
    wanted = wanted_from_json(envelope.body)
    stored = Recording(key=wanted.key, state="stored", place=wanted.name, **audio[wanted.name or ""])
    return recording_fact(envelope, wanted, stored, platform=SOURCE.platform)


async def _ack_before_publish(work: Work) -> None:
    outputs = await work.outputs()
    work.ack()
    await work.publish(outputs)
    await work.mark(outputs)


async def _publish_before_commit(work: Work) -> None:
    """There is no outbox: what it is about to say goes out, and then it is kept as said."""
    before = [db.serialize() for db in work.world.databases]
    said = _without_a_moment(work.outputs())
    for db, state in zip(work.world.databases, before, strict=True):
        db.deserialize(state)
    await work.publish(said)
    await work.mark(await work.outputs())
    work.ack()


async def _mark_before_publish(work: Work) -> None:
    outputs = await work.outputs()
    await work.mark(outputs)
    await moment()
    await work.publish(outputs)
    work.ack()


async def _rebuild_at_publish(work: Work) -> None:
    """The outbox keeps what to tell, not its bytes: they are made with the clock of each publish."""
    outputs = await work.outputs()
    await work.publish([_dated(envelope, work.world.now) for envelope in outputs])
    await work.mark(outputs)
    await moment()
    work.ack()


def _without_a_moment(steps: Coroutine[Any, Any, T]) -> T:
    while True:
        try:
            steps.send(None)
        except StopIteration as done:
            result: T = done.value
            return result


def _dated(envelope: Envelope, now: datetime) -> Envelope:
    if envelope.kind != Kind.EVENT:
        return envelope
    assert isinstance(envelope.body, bytes)
    return replace(envelope, body=orjson.dumps({**orjson.loads(envelope.body), "time": now}))


class _SeenIsSeen(SqliteClaims):
    """What was claimed before is a duplicate, even for the one who claimed it and died."""

    async def claim(self, receipts: Sequence[Receipt], tallies: Sequence[Tally]) -> Mapping[str, ClaimResult]:
        results = await super().claim(receipts, tallies)
        return {owner: "duplicate" if result == "mine" else result for owner, result in results.items()}


class _KnownIsKnown(SqliteClaims):
    """One key, one telling: an amended CDR is a duplicate too."""

    async def claim(self, receipts: Sequence[Receipt], tallies: Sequence[Tally]) -> Mapping[str, ClaimResult]:
        results = await super().claim(receipts, tallies)
        return {owner: "duplicate" if result == "amended" else result for owner, result in results.items()}


class _FirstToldIsFirstClaimed(SqliteClaims):
    """A telling that came earlier and is claimed later is a duplicate like any other."""

    async def claim(self, receipts: Sequence[Receipt], tallies: Sequence[Tally]) -> Mapping[str, ClaimResult]:
        results = await super().claim(receipts, tallies)
        return {owner: "duplicate" if result == "earlier" else result for owner, result in results.items()}


class _MarkedAtOnce(SqliteSessions):
    """Marks that rode in a transaction which is then undone would never come."""

    async def sent(self, ids: Sequence[str], now: datetime) -> None:
        await super().sent(ids, now)
        await self.flush()


class _LastWriterWins(SqliteSessions):
    """Of each fact only the version that was folded last is kept, whenever it was told."""

    async def fold(self, news: News, step: StepFunction, now: datetime) -> Sequence[Envelope]:
        def overwriting(session: Session | None, facts: Sequence[KeptFact]) -> Step:
            latest = {fact.key: fact for fact in facts}
            if session is not None:
                others = {version_key(f): f for f in session.facts.values() if f.key not in latest}
                session = replace(session, facts=others)
            return step(session, [*latest.values()])

        return await super().fold(news, overwriting, now)


def _keyed(key: Callable[[Parsed, Notification, int], str]) -> AnyDialect:
    """The dialect with another natural key for CDRs."""

    def parse(notification: Notification, source: PrivateNumberSource) -> Sequence[Parsed | Malformed]:
        return [
            replace(item, key=key(item, notification, n))
            if isinstance(item, Parsed) and item.kind == FactKind.CDR
            else item
            for n, item in enumerate(_DIALECT.parse(notification, source))
        ]

    return replace(_DIALECT, parse=parse)


def _by_session(item: Parsed, _: Notification, __: int) -> str:
    return item.session_id


def _by_body(_: Parsed, notification: Notification, n: int) -> str:
    return f"{hashlib.sha256(notification.body).hexdigest()}|{n}"


@dataclass(frozen=True, kw_only=True)
class _Composed(Variant):
    """Ours, with both stages in one process."""

    def starts(self, world: World, audio: Mapping[str, Mapping[str, Any]]) -> dict[str, Callable[[], Stage]]:
        apart = super().starts(world, audio)

        def both() -> Stage:
            second = apart[UNIQUE]()
            return composed(apart[RECEIVED](), second, fold=second.handle)

        return {**apart, RECEIVED: both}


COMPOSED: Final = _Composed(name="composed")
ACK_FIRST: Final = Variant(name="ack before publish", order=_ack_before_publish)
PUBLISH_FIRST: Final = Variant(name="publish before commit", order=_publish_before_commit, sessions=_MarkedAtOnce)
SEEN_FIRST: Final = Variant(name="a claim marks as seen, also for its owner", claims=_SeenIsSeen)
MARK_FIRST: Final = Variant(name="outbox marked as sent before publish", order=_mark_before_publish)
LAST_WRITER_WINS: Final = Variant(name="last writer wins by order of processing", sessions=_LastWriterWins)
SESSION_AS_KEY: Final = Variant(name="natural key is the session id alone", dialect=_keyed(_by_session))
BODY_AS_KEY: Final = Variant(name="natural key is the body's hash", dialect=_keyed(_by_body))
AMENDMENTS_DROPPED: Final = Variant(name="one telling a key", claims=_KnownIsKnown)
BODY_REBUILT: Final = Variant(name="body rebuilt at each publish", order=_rebuild_at_publish)
CLAIM_ORDER: Final = Variant(name="told first is claimed first", claims=_FirstToldIsFirstClaimed)
