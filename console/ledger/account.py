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

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from schemas.envelope import JsonObject, Kind
from schemas.masking import masked
from workers.retention import CLAIMS_KEPT
from workers.stores.books import Books, ParkedCount, strays
from workers.stores.passage import hour_of

COUNTS: Final = (
    "answered",
    "receipts",
    "items",
    "unique",
    "amended",
    "duplicate",
    "quarantined",
    "passed",
    "arrived",
    "dead_facts",
    "dead_notifications",
    "sessions",
    "completed",
    "incomplete",
    "open",
    "revisions",
    "events",
    "sent",
    "quarantine",
    "dead",
    "unrouted",
    "wanted",
    "replayed",
    "ever_quarantined",
)
CLOSES_AFTER: Final = timedelta(minutes=15)
COMPARED: Final = CLAIMS_KEPT - timedelta(days=1)
NAMED: Final = 10
_HOUR: Final = timedelta(hours=1)


class LedgerReads(Protocol):
    """What a store tells of its counts."""

    def ledger(self) -> Iterable[JsonObject]:
        """Counts by source and hour."""
        ...

    def books(self) -> Books:
        """The later half of them."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """An equation that does not hold; `in_flight` says why it need not hold yet, and is empty for a closed window."""

    source: str
    hour: str
    what: str
    names: Sequence[str] = ()
    in_flight: str = ""

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
            return "the broker does not tell what its queues hold"
        holding = [f"{name} {depth}" for name, depth in self.queues.items() if depth]
        return f"queues hold messages: {', '.join(holding)}" if holding else ""


def read_ledger(
    reads: LedgerReads,
    *,
    since: datetime | None,
    until: datetime | None,
    source: str | None,
    now: datetime | None = None,
) -> list[JsonObject]:
    """The chosen rows, every count filled in; `compared`: whether the facts of that hour can be compared.

    What comes later in the pipeline is read first where more there would be a difference, so that traffic meanwhile is
    in flight and nothing else.
    """
    rows: dict[tuple[str, str], JsonObject] = {}
    for row in reads.ledger():
        _row(rows, row["source"], row["hour"]).update(row)
    low, high = _in_utc(since), _in_utc(until)
    _add_books(rows, reads.books(), first=(now or datetime.now(UTC)) - COMPARED, asked=low)
    return _chosen(rows, hour_of(low) if low else "", hour_of(high) if high else "9", source)


def _in_utc(moment: datetime | None) -> datetime | None:
    """A moment without a zone is meant in UTC."""
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment and moment.astimezone(UTC)


def _chosen(rows: dict[tuple[str, str], JsonObject], low: str, high: str, source: str | None) -> list[JsonObject]:
    return [rows[key] for key in sorted(rows) if low <= key[1] <= high and source in (None, key[0])]


def _row(rows: dict[tuple[str, str], JsonObject], source: str, hour: str) -> JsonObject:
    bare = {"source": source, "hour": hour, "compared": False, **dict.fromkeys(COUNTS, 0)}
    return rows.setdefault((source, hour), bare)


def _add_books(
    rows: dict[tuple[str, str], JsonObject], books: Books, *, first: datetime, asked: datetime | None
) -> None:
    since = max(first, asked.replace(minute=0, second=0, microsecond=0)) if asked else first
    arrived, passed = list(books.arrived()), list(books.passed(since))
    uncounted = max((hour for source, hour, _ in (*arrived, *passed) if source is None), default="")
    for name, counts in (("arrived", arrived), ("passed", passed)):
        for source, hour, count in counts:
            if source is not None:
                _row(rows, source, hour)[name] += count
    for said in books.said():
        row = _row(rows, said.source, said.hour)
        row |= {"revisions": said.revisions, "events": said.made, "sent": said.sent}
    for parked in books.parked():
        _add_parked(_row(rows, parked.source, parked.hour), parked)
    for (_, hour), row in rows.items():
        row["compared"] = hour > max(uncounted, hour_of(first))


def _add_parked(row: JsonObject, parked: ParkedCount) -> None:
    row[parked.box if parked.state == "parked" else parked.state] += parked.count
    if parked.box == "quarantine":
        row["ever_quarantined"] += parked.count
    if parked.box != "unrouted" and parked.state != "replayed":
        died = {Kind.FACT: "dead_facts", Kind.NOTIFICATION: "dead_notifications"}.get(parked.kind)
        if died == "dead_facts" or (died and parked.box == "dead"):
            row[died] += parked.count


def totals(rows: Sequence[JsonObject]) -> JsonObject:
    """Sums over all rows."""
    return {name: sum(row[name] for row in rows) for name in COUNTS}


def differences(rows: Sequence[JsonObject], *, now: datetime) -> list[str]:
    """One sentence per equation that does not hold, judged by the time alone."""
    return [str(difference) for difference in compare(rows, Sight(now=now))]


def compare(rows: Sequence[JsonObject], sight: Sight, books: Books | None = None) -> list[Difference]:
    """Every equation that does not hold; with `books`, what differs in a closed window is named."""
    return [difference for row in rows for difference in (*_counted(row, sight), *_followed(row, sight, books))]


def _counted(row: JsonObject, sight: Sight) -> Iterator[Difference]:
    """The equations of which counts tell all."""
    for what, flows in _miscounts(row):
        because = sight.open_because(row["source"], row["hour"], flows=flows)
        yield Difference(source=row["source"], hour=row["hour"], what=what, in_flight=because)


def _miscounts(row: JsonObject) -> Iterator[tuple[str, bool]]:
    if (missing := row["answered"] - row["receipts"] - row["dead_notifications"]) > 0:
        yield f"{missing} notifications were answered 200 and have no receipt", True
    parts = row["unique"] + row["amended"] + row["duplicate"] + row["quarantined"]
    if row["items"] != parts:
        yield f"{row['items']} items, but {parts} are accounted for", False
    if (missing := row["quarantined"] - row["ever_quarantined"]) > 0:
        yield f"{missing} items were quarantined and are not parked", True
    if row["sessions"] != row["completed"] + row["incomplete"] + row["open"]:
        yield "sessions do not add up", False


def _followed(row: JsonObject, sight: Sight, books: Books | None) -> Iterator[Difference]:
    """The equations of which the books can name what differs."""
    if row["compared"]:
        yield from _facts(row, sight, books)
        yield from _events(row, sight, books)


def _facts(row: JsonObject, sight: Sight, books: Books | None) -> Iterator[Difference]:
    source, hour = row["source"], row["hour"]
    missing = row["passed"] - row["arrived"] - row["dead_facts"]
    because = sight.open_because(source, hour, flows=True)
    if books is not None and not because and (missing or sight.fact_by_fact):
        yield from _named_facts(books, source, hour)
    elif missing:
        yield Difference(source=source, hour=hour, what=_facts_differ(missing), in_flight=because)


def _events(row: JsonObject, sight: Sight, books: Books | None) -> Iterator[Difference]:
    if row["revisions"] == row["events"]:
        return
    source, hour = row["source"], row["hour"]
    calls = books.unsaid(source, hour, NAMED) if books else ()
    yield Difference(
        source=source,
        hour=hour,
        what=f"{row['revisions']} revisions, but {row['events']} events of them",
        names=[f"call {masked(call)}: {revisions} revisions, {made} events" for call, revisions, made in calls],
        in_flight=sight.open_because(source, hour, flows=False),
    )


def _facts_differ(missing: int) -> str:
    if missing > 0:
        return f"{missing} facts were passed on and have not arrived in a session"
    return f"{-missing} facts more are in sessions than were passed on"


def _named_facts(books: Books, source: str, hour: str) -> Iterator[Difference]:
    """Fact by fact: counts may differ where nothing is wrong (a fact told again after its claim was forgotten)."""
    since = _moment(hour)
    found = strays(books, source, since, since + _HOUR)
    lost = [f"fact {one.owner}, told at {one.at:%H:%M:%S.%f}" for one in found.lost]
    doubled = [f"{one.kind} in call {masked(one.call_id)}, told at {one.at:%H:%M:%S.%f}" for one in found.doubled]
    if lost:
        what = f"{len(lost)} facts were passed on and are in no session"
        yield Difference(source=source, hour=hour, what=what, names=lost[:NAMED])
    if doubled:
        what = f"{len(doubled)} facts are in a session and were not passed on, or are in two"
        yield Difference(source=source, hour=hour, what=what, names=doubled[:NAMED])


COLUMNS: Final = (
    "source",
    "hour",
    "answered /\nreceipts",
    "items = unique\n+amended+duplicate\n+quarantined",
    "facts passed on\n= in sessions\n+dead+in flight",
    "sessions\n= completed\n+incomplete+open",
    "events\n= sent\n+unsent",
    "quarantine\n/dead\n/unrouted",
    "went\nback",
    "balance",
)


def cells(row: JsonObject, found: Sequence[Difference]) -> list[str]:
    """One line of the table, each equation with its figures; `found`: all differences."""
    here = [one for one in found if (one.source, one.hour) == (row["source"], row["hour"])]
    balance = "ok" if not here else "in flight" if all(one.in_flight for one in here) else "DIFFERS"
    flying = row["passed"] - row["arrived"] - row["dead_facts"]
    facts = f"{row['passed']} = {row['arrived']}+{row['dead_facts']}+{flying}" if row["compared"] else "-"
    return [
        row["source"],
        row["hour"],
        f"{row['answered']} / {row['receipts']}",
        f"{row['items']} = {row['unique']}+{row['amended']}+{row['duplicate']}+{row['quarantined']}",
        facts,
        f"{row['sessions']} = {row['completed']}+{row['incomplete']}+{row['open']}",
        f"{row['events']} = {row['sent']}+{row['events'] - row['sent']}",
        f"{row['quarantine']}/{row['dead']}/{row['unrouted']}",
        str(row["wanted"] + row["replayed"]),
        balance,
    ]


def _moment(hour: str) -> datetime:
    return datetime.strptime(hour, "%Y-%m-%dT%H").replace(tzinfo=UTC)
