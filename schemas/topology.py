"""The topology as one table: every stage, exchange, queue and binding, as data (docs/design.md section 4).

Safety-relevant arguments live here, in code, because a fresh install has no policies; a changed argument needs
a new version suffix, since a broker refuses to redeclare a queue with other arguments.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from schemas.envelope import Kind
from schemas.stage import StageRow

RECEIVED: Final = "callstitch.received.v1"
UNIQUE: Final = "callstitch.unique.v1"
RECORDINGS: Final = "callstitch.recordings.v1"
DECISIONS: Final = "callstitch.decisions.v1"
QUARANTINE: Final = "callstitch.quarantine.v1"
DEAD: Final = "callstitch.dead.v1"
UNROUTED: Final = "callstitch.unrouted.v1"
BOXES: Final[Mapping[str, str]] = {"quarantine": QUARANTINE, "dead": DEAD, "unrouted": UNROUTED}
PARKING: Final = frozenset(BOXES.values())  # read by park, which takes whatever lies there
CALLS: Final = "calls"  # one event a message
BATCHES: Final = "callstitch.calls.batch"  # for whoever reads several events of one routing in a message
UNWANTED_IF_UNBOUND: Final = "call.progress"
EDGE: Final = "queue:"

RETRY_DELAYS: Final[Mapping[str, float]] = {
    "1s": 1, "5s": 5, "30s": 30, "2m": 120, "10m": 600, "1h": 3600, "6h": 21600,
}  # fmt: skip

EVENT_TYPES: Final = (
    "call.completed", "call.incomplete", "call.amended", "recording.stored", "recording.failed",
    "call.progress", "call.decided", "sms.notified", "number.changed", "platform.notified",
)  # fmt: skip
DEFAULT_EVENTS: Final = tuple(t for t in EVENT_TYPES if t != UNWANTED_IF_UNBOUND)

_DELIVERY_LIMIT: Final = 20
_NEVER: Final = 1_000_000_000  # deliveries: said in so many words, since RabbitMQ 3 and 4 differ on what no limit means


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """One durable queue: quorum, unless it is a `stream`.

    `dead_letter_exchange` is None or an exchange ("" is the default one); the routing key is kept unless
    `dead_letter_key` names another. `ttl_seconds` makes it a delay tier, or is how old its messages get.
    `delivery_limit` None: no limit. `max_length`: how many messages it has room for; what comes then is refused.
    `downstream`: another team consumes it; one that is there without dead-lettering is left as it is.
    """

    name: str
    dead_letter_exchange: str | None = None
    dead_letter_key: str | None = None
    delivery_limit: int | None = None
    ttl_seconds: float | None = None
    downstream: bool = False
    single_active: bool = False
    stream: bool = False
    max_length: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One durable exchange; `kind` is topic or fanout."""

    name: str
    kind: str
    alternate: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A queue receives what an exchange is given under a topic pattern."""

    exchange: str
    queue: str
    pattern: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """All of it; `unbound` are known bindings that the config no longer wants."""

    exchanges: tuple[Exchange, ...] = ()
    queues: tuple[Queue, ...] = ()
    bindings: tuple[Binding, ...] = ()
    unbound: tuple[Binding, ...] = field(default=())

    @property
    def forms(self) -> Forms:
        """In which forms its bindings want events."""
        rows = [(row.exchange, row.pattern) for row in self.bindings if row.exchange in {CALLS, BATCHES}]
        return Forms(frozenset(rows))


@dataclass(frozen=True, slots=True)
class Forms:
    """In which forms events are wanted: `calls` and `callstitch.calls.batch`, each with what is bound to it."""

    rows: frozenset[tuple[str, str]] = frozenset()

    def __or__(self, other: Forms) -> Forms:
        return Forms(self.rows | other.rows)

    def of(self, route: str) -> tuple[bool, bool]:
        """Whether an event of that routing key goes out alone, and whether in a batch; alone where nobody wants it."""
        every = f"{route.rpartition('.')[0]}.*"
        batch = (BATCHES, route) in self.rows or (BATCHES, every) in self.rows
        return not batch or (CALLS, route) in self.rows or (CALLS, every) in self.rows, batch

    @property
    def any_batch(self) -> bool:
        """Whether anybody wants batches; else all go out alone, whatever is bound."""
        return any(exchange == BATCHES for exchange, _ in self.rows)


SINGLY: Final = Forms()


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A queue and the events that it wants, alone or in batches; no sources means all.

    It is a sink's, or `downstream`: another team's, which may have one consumer at a time or be a stream. One that is
    fed by a stage of ours wants no events, and is bound to nothing.
    """

    queue: str
    events: tuple[str, ...] = DEFAULT_EVENTS
    sources: tuple[str, ...] = ()
    batch: bool = False
    downstream: bool = False
    single_active: bool = False
    stream: bool = False
    max_length: int | None = None
    max_age_seconds: float | None = None

    @property
    def exchange(self) -> str:
        """Where it is bound; both are keyed alike."""
        return BATCHES if self.batch else CALLS

    def patterns(self) -> frozenset[str]:
        """Its topic patterns; `calls` is keyed `<type>.<source>`, and a type has two words."""
        return frozenset(f"{event}.{source}" for event in self.events for source in (self.sources or ("*",)))


def sink_queue(name: str) -> str:
    """The queue of the sink of that name."""
    return f"callstitch.sink.{name}.v1"


def feed_queue(name: str) -> str:
    """The queue from which the downstream queue of that name is fed."""
    return f"callstitch.feed.{name}.v1"


def edge_stage(queue: str) -> str:
    """The stage of what died in a downstream queue of that name; a dead letter's routing key says so."""
    return f"{EDGE}{queue}"


def retry_queue(delay: str) -> str:
    """The queue in which a delay tier waits."""
    return f"callstitch.retry.{delay}.v1"


def retry_exchange(delay: str) -> str:
    """The fanout exchange in front of a delay tier: the routing key stays free to name the stage's queue."""
    return f"callstitch.retry.{delay}"


_FETCHED_AT_ONCE: Final = 8  # twice as many as are downloaded: those of a slow host wait and hold up no other
STAGES: Final[Mapping[str, StageRow]] = {
    row.name: row
    for row in (
        StageRow(
            name="dedupe",
            reads={RECEIVED: (Kind.NOTIFICATION, Kind.TALLY)},
            writes=(Kind.FACT, Kind.QUARANTINED),
            delays=("1s", "5s", "30s", "2m"),
            owns_state=True,
        ),
        StageRow(
            name="correlate",
            reads={UNIQUE: (Kind.FACT,)},
            writes=(Kind.EVENT, Kind.RECORDING_WANTED, Kind.FACT),
            delays=("1s", "5s", "30s", "2m"),
            owns_state=True,
        ),
        StageRow(
            name="fetch_recording",
            reads={RECORDINGS: (Kind.RECORDING_WANTED,)},
            writes=(Kind.FACT,),
            delays=("1s", "5s", "30s", "2m", "10m", "1h", "6h", "6h", "6h"),
            prefetch=2 * _FETCHED_AT_ONCE,
            most=1,
            at_once=_FETCHED_AT_ONCE,
        ),
        StageRow(
            name="fan_out",
            parts="sink",
            delays=("5s", "2m", "10m", "1h", "6h", "6h", "6h", "6h"),
            prefetch=256,
            most=128,
        ),
        StageRow(name="feed", parts="queue", writes=(Kind.EVENT,), delays=("5s", "30s", "2m"), prefetch=256, most=128),
        StageRow(
            name="park",
            reads={QUARANTINE: (Kind.QUARANTINED,), DEAD: (Kind.DEAD,), UNROUTED: ()},
            writes=(Kind.NOTIFICATION, Kind.TALLY, Kind.FACT, Kind.RECORDING_WANTED, Kind.EVENT, Kind.MESSAGE),
            delays=("5s", "30s", "2m"),
            dead_letters=False,
            owns_state=True,
        ),
        StageRow(name="decide", reads={DECISIONS: ()}, dead_letters=False, answers=True),
    )
}

INGEST: Final = "ingest"
HOLDABLE: Final = tuple(row.name for row in STAGES.values() if not row.answers)  # `decide` has nothing to do with state
SWITCHES: Final = (*HOLDABLE, INGEST)
# where an operator's word lies that this role is to rest; whoever is at work in it is subscribed
SWITCH_QUEUES: Final = {name: f"callstitch.switch.{name}.v1" for name in SWITCHES}

ROUTES: Final[Mapping[str, tuple[str, str]]] = {
    kind: ("", queue) for row in STAGES.values() for queue, kinds in row.reads.items() for kind in kinds
}  # an event goes to CALLS under its own routing key

_ALTERNATE: Final = "callstitch.unrouted"
_DEAD_LETTERS: Final = "callstitch.dead"


def stage_queue(name: str) -> Queue:
    """A queue that one of our stages reads: poison cannot circle for ever, and nothing is dropped silently."""
    return Queue(name=name, dead_letter_exchange=_DEAD_LETTERS, delivery_limit=_DELIVERY_LIMIT)


def topology(subscriptions: Iterable[Subscription], known_sources: Iterable[str] = ()) -> Topology:
    """Everything that the configured sinks and downstream queues need."""
    subscriptions = tuple(subscriptions)
    stages = tuple(
        stage_queue(queue) if row.dead_letters else Queue(name=queue) for row in STAGES.values() for queue in row.reads
    )
    delays = tuple(
        Queue(name=retry_queue(delay), dead_letter_exchange="", ttl_seconds=seconds)
        for delay, seconds in RETRY_DELAYS.items()
    )
    switches = tuple(Queue(name=queue, delivery_limit=_NEVER) for queue in SWITCH_QUEUES.values())
    return Topology(
        exchanges=(
            Exchange(name=_ALTERNATE, kind="topic"),
            Exchange(name=_DEAD_LETTERS, kind="fanout"),
            Exchange(name=CALLS, kind="topic", alternate=_ALTERNATE),
            Exchange(name=BATCHES, kind="topic", alternate=_ALTERNATE),
            *(Exchange(name=retry_exchange(delay), kind="fanout") for delay in RETRY_DELAYS),
        ),
        queues=(*stages, *delays, *switches, *(_subscribed_queue(sub) for sub in subscriptions)),
        bindings=(
            Binding(exchange=_DEAD_LETTERS, queue=DEAD),
            *(Binding(exchange=_ALTERNATE, queue=UNROUTED, pattern=f"{event}.#") for event in DEFAULT_EVENTS),
            *(Binding(exchange=retry_exchange(delay), queue=retry_queue(delay)) for delay in RETRY_DELAYS),
            *_wanted(subscriptions),
        ),
        unbound=tuple(_unwanted(subscriptions, tuple(known_sources))),
    )


def _subscribed_queue(subscription: Subscription) -> Queue:
    if not subscription.downstream:
        return stage_queue(subscription.queue)
    if subscription.stream:
        return Queue(name=subscription.queue, downstream=True, stream=True)
    return Queue(
        name=subscription.queue,
        dead_letter_exchange=_DEAD_LETTERS,
        dead_letter_key=edge_stage(subscription.queue),
        downstream=True,
        single_active=subscription.single_active,
        ttl_seconds=subscription.max_age_seconds,
        max_length=subscription.max_length,
    )


def _wanted(subscriptions: tuple[Subscription, ...]) -> Iterator[Binding]:
    for subscription in subscriptions:
        for pattern in sorted(subscription.patterns()):
            yield Binding(exchange=subscription.exchange, queue=subscription.queue, pattern=pattern)


def _unwanted(subscriptions: tuple[Subscription, ...], sources: Collection[str]) -> Iterator[Binding]:
    known = {f"{event}.{source}" for event in EVENT_TYPES for source in ("*", *sources)}
    for subscription in subscriptions:
        for exchange in (CALLS, BATCHES):
            kept = subscription.patterns() if exchange == subscription.exchange else frozenset()
            for pattern in sorted(known - kept):
                yield Binding(exchange=exchange, queue=subscription.queue, pattern=pattern)
