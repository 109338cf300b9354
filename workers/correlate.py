"""unique -> calls, recordings: folds the facts of one session into one call record, and is the only one to publish it.

Session, revision and outbox row are one transaction in the store; only then does anything leave.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, Protocol

import structlog

from schemas.envelope import Envelope
from schemas.errors import Permanent
from schemas.facts import FactKind
from schemas.platforms import number_of
from schemas.stage import Failed, Outcome, Stage
from workers.calls.bounds import LEFT_OUT
from workers.calls.events import event_at_once, number_event
from workers.calls.kept import KeptFact, kept_fact
from workers.calls.session import Session
from workers.calls.sms import is_sms, sms_step
from workers.calls.step import Patience, Step, step
from workers.retention import AS_EVER, Retention, now_and_then

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

    @property
    def token_key(self) -> bytes:
        """What a number's token is made with, the same as long as there is this store; it was drawn with it."""
        ...

    async def fold(self, news: News, step: StepFunction, now: datetime) -> Sequence[Envelope]:
        """Apply `step` to each call's session and keep what it says in the outbox; returns that, to be published.

        A call that was purged is not stepped.
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
        """Note that outbox rows have left: marked with the next of these transactions, or when the store is closed.

        Ids of no row that this store handed out are ignored. A mark that is lost costs one more publish.
        """
        ...

    async def look(self, now: datetime) -> Mapping[str, int]:
        """What metrics tell of what it holds, by metric: counted as far as LOOKED_AT, by indexes of what is open."""
        ...

    async def purge(self, calls: Sequence[str], events: Sequence[str], now: datetime) -> Mapping[str, str]:
        """Erase these calls, and sent events of no call (by event id); says of those that have to wait why.

        Of a call stay counts, hashes and a tombstone under a keyed id: what is told of it later changes nothing and
        says nothing.
        """
        ...

    async def expire(self, now: datetime, limit: int, kept: Retention = AS_EVER) -> int:
        """Forget up to `limit` rows of each kind that are older than `kept` says; how many went.

        A session leaves a tombstone, and a fact that comes later continues above its last revision.
        """
        ...


def correlate(
    store: SessionStore,
    *,
    patience: Mapping[str, Patience],
    progress: frozenset[str],
    clock: Callable[[], datetime],
    kept: Retention = AS_EVER,
) -> Stage:
    """The stage; `patience` by source (an unknown source waits as by default), `progress`: sources that want it."""

    def stepping(now: datetime, traces: Mapping[str, str], left_out: set[str]) -> StepFunction:
        return partial(_step, now=now, patience=patience, traces=traces, left_out=left_out)

    ahead = _doors_ahead(patience)

    async def handle(batch: Sequence[Envelope]) -> Outcome:
        now = clock()
        calls: dict[str, list[KeptFact]] = {}
        traces: dict[str, str] = {}
        at_once: list[tuple[Envelope, str]] = []  # with its call, or none
        numbers: list[Envelope] = []
        for envelope in batch:
            fact = _fact(envelope)
            if fact.at > now:
                fact.seen_at(now)
                ahead(fact, now)
            if fact.kind == FactKind.NUMBER_STATE:
                numbers.append(_number_event(fact, key=store.token_key, now=now, trace=envelope.trace))
            elif (fact.kind == FactKind.CALL_EVENT and fact.source in progress) or _leaves_at_once(fact):
                at_once.append((event_at_once(fact, trace=envelope.trace), _folded_into(fact)))
            if fact.kind not in _OF_NO_SESSION:
                call_id = fact.call_id
                calls.setdefault(call_id, []).append(fact)
                traces[call_id] = envelope.trace
        told = await store.tell(numbers, now) if numbers else ()
        alive, left_out = {""}, set[str]()  # alive: no call, and those that were not purged
        said = await store.fold(calls, _noting(stepping(now, traces, left_out), alive), now)
        return [*(event for event, call in at_once if call in alive), *told, *said, *_failed(batch, left_out)]

    forget = now_and_then(partial(store.expire, kept=kept))

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


def _number_event(fact: KeptFact, *, key: bytes, now: datetime, trace: str) -> Envelope:
    number = number_of(fact.of["platform"], fact.row["raw"])
    return number_event(fact, number, key=key, now=now, trace=trace)


def _folded_into(fact: KeptFact) -> str:
    return "" if fact.kind in _OF_NO_SESSION else fact.call_id


def _noting(step: StepFunction, alive: set[str]) -> StepFunction:
    """The step, which notes whose call it is asked for."""

    def noted(session: Session | None, facts: Sequence[KeptFact]) -> Step:
        alive.add(facts[0].call_id)
        return step(session, facts)

    return noted


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
    lost = [envelope for envelope in batch if _fact(envelope).identity["id"] in left_out] if left_out else ()
    return [Failed(envelope, Permanent(LEFT_OUT)) for envelope in lost]
