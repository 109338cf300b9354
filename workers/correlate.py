"""unique -> calls, recordings: folds the facts of one session into one call record, and is the only one to publish it.

Session, revision and outbox row are one transaction in the store; only then does anything leave.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, Protocol

import structlog

from schemas.dialect.items import repeats_only_the_latest
from schemas.envelope import Envelope
from schemas.errors import Permanent
from schemas.facts import FactKind
from schemas.stage import Failed, Outcome, Stage
from workers.calls.bounds import LEFT_OUT
from workers.calls.events import event_at_once, number_event
from workers.calls.kept import KeptFact, kept_fact
from workers.calls.session import Session
from workers.calls.sms import is_sms, sms_step
from workers.calls.step import Patience, Step, step
from workers.retention import now_and_then

SWEEP_ROWS: Final = 500
WARN_EVERY: Final = timedelta(minutes=1)

log = structlog.get_logger()

_OF_NO_SESSION: Final = frozenset({FactKind.OTHER, FactKind.NUMBER_STATE})

_PATIENCE: Final = Patience()

News = Mapping[str, Sequence[KeptFact]]  # by call id
StepFunction = Callable[[Session | None, Sequence[KeptFact]], Step]


class SessionStore(Protocol):
    """Where sessions and the outbox live; every method is one transaction.

    Raises:
        Unavailable: the store is away; nothing was committed, or it does not matter that it was.
    """

    async def fold(self, news: News, step: StepFunction, now: datetime) -> Sequence[Envelope]:
        """Apply `step` to each call's session and keep what it says in the outbox; returns that, to be published.

        Also returns unsent rows of these calls that are older than 5 s: what a crash left behind.
        """
        ...

    async def tell(self, events: Sequence[Envelope], now: datetime) -> Sequence[Envelope]:
        """Keep events of no session in the outbox; returns those that it did not know, to be published."""
        ...

    async def due(self, now: datetime, step: StepFunction, limit: int) -> Sequence[Envelope]:
        """The same for up to `limit` sessions whose deadline has come."""
        ...

    async def unsent(self, now: datetime, limit: int) -> Sequence[Envelope]:
        """Outbox rows that nobody has sent and whose lease of 5 s is over, leased again."""
        ...

    async def sent(self, ids: Sequence[str], now: datetime) -> None:
        """Mark outbox rows as sent; ids that are no outbox rows are ignored."""
        ...

    async def expire(self, now: datetime, limit: int) -> int:
        """Forget up to `limit` rows of each kind that are older than workers.retention says; how many went.

        A session leaves a tombstone, and a fact that comes later continues above its last revision.
        """
        ...


def correlate(
    store: SessionStore,
    *,
    patience: Mapping[str, Patience],
    progress: frozenset[str],
    clock: Callable[[], datetime],
) -> Stage:
    """The stage; `patience` by source (an unknown source waits as by default), `progress`: sources that want it."""

    def stepping(now: datetime, traces: Mapping[str, str], left_out: set[str]) -> StepFunction:
        return partial(_step, now=now, patience=patience, traces=traces, left_out=left_out)

    ahead = _doors_ahead(patience)

    async def handle(batch: Sequence[Envelope]) -> Outcome:
        now = clock()
        calls: dict[str, list[KeptFact]] = {}
        traces: dict[str, str] = {}
        at_once: list[Envelope] = []
        numbers: list[Envelope] = []
        for envelope in batch:
            fact = _fact(envelope)
            if fact.at > now:
                fact.seen_at(now)
                ahead(fact, now)
            if fact.kind == FactKind.NUMBER_STATE and repeats_only_the_latest(fact.key):
                numbers.append(number_event(fact, now=now, trace=envelope.trace))
            elif (fact.kind == FactKind.CALL_EVENT and fact.source in progress) or _leaves_at_once(fact):
                at_once.append(event_at_once(fact, trace=envelope.trace))
            if fact.kind not in _OF_NO_SESSION:
                call_id = fact.call_id
                calls.setdefault(call_id, []).append(fact)
                traces[call_id] = envelope.trace
        told = await store.tell(numbers, now) if numbers else ()
        left_out: set[str] = set()
        said = await store.fold(calls, stepping(now, traces, left_out), now)
        return [*at_once, *told, *said, *(_failed(batch, left_out) if left_out else ())]

    forget = now_and_then(store.expire)

    async def tick(now: datetime) -> Sequence[Envelope]:
        await forget(now)  # before anything is taken: what it raises must not leave taken rows unsent
        due = await store.due(now, stepping(now, {}, set()), SWEEP_ROWS)
        return [*due, *await store.unsent(now, SWEEP_ROWS)]

    async def published(ids: Sequence[str]) -> None:
        await store.sent(ids, clock())

    return Stage(handle, tick, published)


def _fact(envelope: Envelope) -> KeptFact:
    body: Any = envelope.body
    return kept_fact(body)


def _doors_ahead(patience: Mapping[str, Patience]) -> Callable[[KeptFact, datetime], None]:
    """What warns of a door whose clock is ahead by more than `settle`, once a minute for each source."""
    warned: dict[str, datetime] = {}

    def ahead(fact: KeptFact, now: datetime) -> None:
        by = fact.at - now
        if by <= patience.get(fact.source, _PATIENCE).settle or warned.get(fact.source, now) > now:
            return
        warned[fact.source] = now + WARN_EVERY
        log.warning("clock.ahead", source=fact.source, seconds=round(by.total_seconds()))

    return ahead


def _leaves_at_once(fact: KeptFact) -> bool:
    if fact.kind != FactKind.DECISION:
        return fact.kind in _OF_NO_SESSION
    return bool(fact.row["asked"] == "call")


def _step(
    session: Session | None,
    news: Sequence[KeptFact],
    *,
    now: datetime,
    patience: Mapping[str, Patience],
    traces: Mapping[str, str],
    left_out: set[str],
) -> Step:
    some = news[0] if news else next(iter(session.facts.values())) if session else None
    assert some is not None
    stepping = sms_step if is_sms(some) else step
    taken = stepping(
        session, news, now=now, patience=patience.get(some.source, _PATIENCE), trace=traces.get(some.call_id, "")
    )
    if taken.left_out:
        left_out.update([fact.identity["id"] for fact in taken.left_out])
    return taken


def _failed(batch: Sequence[Envelope], left_out: Collection[str]) -> list[Failed]:
    """Those whose fact found no room: the session is kept without them, and they are dead letters."""
    return [Failed(envelope, Permanent(LEFT_OUT)) for envelope in batch if _fact(envelope).identity["id"] in left_out]
