"""The ledger (docs/design.md section 8): what was answered against what became of it, by source and hour.

    answered  <= receipts + dead notifications        (more receipts: the 200 came too late, the platform pushes again)
    items      = unique + amended + duplicate + quarantined
    quarantined <= parked in quarantine
    facts passed on by dedupe = facts in sessions + facts in dead letters
    sessions   = completed + incomplete + open
    revisions  = their events in the outbox = sent + not sent yet

A fact counts once per version (key and fingerprint), in the hour of its earliest telling, on both sides: duplicates,
redeliveries and tellings out of order change neither. Where the counts of a closed window differ, the facts themselves
are compared and named. Hours are compared for six days, one less than claims are kept.

A window is closed once its hour, the source's `settle` and `cdr_wait` (at least 15 minutes, for the last tally and
retry) are over and no queue between the door and the stores holds a message; until then a difference is in flight.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from schemas.envelope import JsonObject
from schemas.masking import masked_id
from workers.stores.ledger import FactReads, strays

CLOSES_AFTER: Final = timedelta(minutes=15)
NAMED: Final = 10
_HOUR: Final = timedelta(hours=1)
_EXACTLY: Final = "%Y-%m-%dT%H:%M:%S.%fZ"  # of what is UTC: by it a fact is found in logs and tables


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """An equation that does not hold; `in_flight` says why it need not hold yet, and is empty for a closed window."""

    source: str
    hour: str
    what: str
    names: Sequence[str] = ()
    in_flight: str = ""

    @property
    def masked(self) -> Difference:
        """The same without the numbers in the ids of calls that it names."""
        return replace(self, names=[masked_id(name) for name in self.names])

    def __str__(self) -> str:
        names = "".join(f"\n  {name}" for name in self.names)
        return f"{self.source} {self.hour}: {self.what}{f' (in flight: {self.in_flight})' if self.in_flight else names}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """By what a window is judged: the moment, how long each source waits, and what the queues hold (None: unknown).

    `fact_by_fact`: compare the facts of closed windows even where the counts agree, because one lost and one doubled
    make the same count; it reads every session that changed since.
    """

    now: datetime
    waits: Mapping[str, timedelta] = field(default_factory=dict)
    queues: Mapping[str, int] | None = field(default_factory=dict)
    fact_by_fact: bool = False

    def open_because(self, source: str, hour: str, *, flows: bool) -> str:
        """Why that window is not closed; `flows`: the equation is between stages, so that queues matter."""
        if self.now < _moment(hour) + _HOUR + max(CLOSES_AFTER, self.waits.get(source, CLOSES_AFTER)):
            return "the window is open"
        if not flows:
            return ""
        if self.queues is None:
            return "the broker does not say what its queues hold"
        holding = [f"{name} {depth}" for name, depth in self.queues.items() if depth]
        return f"queues hold messages: {', '.join(holding)}" if holding else ""


async def compare(rows: Sequence[JsonObject], sight: Sight, books: FactReads | None = None) -> list[Difference]:
    """Every equation that does not hold; with `books`, what differs in a closed window is named."""
    found: list[Difference] = []
    for row in rows:
        found += _counted(row, sight)
        found += [difference async for difference in _followed(row, sight, books)]
    return found


def _counted(row: JsonObject, sight: Sight) -> Iterator[Difference]:
    """The equations of which counts tell all."""
    for what, flows in _miscounts(row):
        because = sight.open_because(row["source"], row["hour"], flows=flows)
        yield Difference(source=row["source"], hour=row["hour"], what=what, in_flight=because)


def _miscounts(row: JsonObject) -> Iterator[tuple[str, bool]]:
    if (missing := row["answered"] - row["receipts"] - row["dead_notifications"]) > 0:
        yield f"{missing} notification(s) were answered 200 and have no receipt", True
    parts = row["unique"] + row["amended"] + row["duplicate"] + row["quarantined"]
    if row["items"] != parts:
        yield f"{row['items']} items, but {parts} are accounted for", False
    if (missing := row["quarantined"] - row["ever_quarantined"]) > 0:
        yield f"{missing} item(s) were quarantined and are not parked", True
    if row["sessions"] != row["completed"] + row["incomplete"] + row["open"]:
        yield "sessions do not add up", False


async def _followed(row: JsonObject, sight: Sight, books: FactReads | None) -> AsyncIterator[Difference]:
    """The equations of which the books can name what differs."""
    if row["compared"]:
        async for difference in _facts(row, sight, books):
            yield difference
        if row["revisions"] != row["events"]:
            yield await _events(row, sight, books)


async def _facts(row: JsonObject, sight: Sight, books: FactReads | None) -> AsyncIterator[Difference]:
    source, hour = row["source"], row["hour"]
    missing = row["passed"] - row["arrived"] - row["dead_facts"]
    because = sight.open_because(source, hour, flows=True)
    if books is not None and not because and (missing or sight.fact_by_fact):
        for difference in await _named_facts(books, source, hour):
            yield difference
    elif missing:
        yield Difference(source=source, hour=hour, what=_facts_differ(missing), in_flight=because)


async def _events(row: JsonObject, sight: Sight, books: FactReads | None) -> Difference:
    source, hour = row["source"], row["hour"]
    calls = await books.unsaid(source, hour, NAMED) if books else ()
    return Difference(
        source=source,
        hour=hour,
        what=f"{row['revisions']} revisions, but {row['events']} events of them",
        names=[f"call {call}: {revisions} revisions, {made} events" for call, revisions, made in calls],
        in_flight=sight.open_because(source, hour, flows=False),
    )


def _facts_differ(missing: int) -> str:
    if missing > 0:
        return f"{missing} fact(s) were passed on and have not arrived in a session"
    return f"{-missing} more fact(s) are in sessions than were passed on"


async def _named_facts(books: FactReads, source: str, hour: str) -> list[Difference]:
    """Fact by fact: counts may differ where nothing is wrong (a fact told again after its claim was forgotten)."""
    since = _moment(hour)
    found = await strays(books, source, since, since + _HOUR)
    lost = [f"fact {one.owner} received {one.at:{_EXACTLY}}" for one in found.lost]
    doubled = [f"{one.kind} in call {one.call_id} received {one.at:{_EXACTLY}}" for one in found.doubled]
    told = (
        (f"{len(lost)} fact(s) were passed on and are in no session", lost),
        (f"{len(doubled)} fact(s) are in a session and were not passed on, or are in two", doubled),
    )
    return [Difference(source=source, hour=hour, what=what, names=names[:NAMED]) for what, names in told if names]


def _moment(hour: str) -> datetime:
    return datetime.strptime(hour, "%Y-%m-%dT%H").replace(tzinfo=UTC)
