"""One step of a call: what its session has to say next, and from when on. Pure: time is an argument.

At most one revision per step; what waits longer is swept by correlate's tick through `due_at`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Final

import orjson

from schemas.envelope import Envelope, JsonObject, Kind, derived_id
from schemas.facts import FactKind, KindOfFact
from schemas.record import CallRecord, RecordingRow
from schemas.recording import RecordingWanted, recording_key
from schemas.value import value
from schemas.vocabulary import Billing, ChangeReason
from workers.calls.bounds import Held, hold, sent_back
from workers.calls.changes import as_told_now, changed, published_call
from workers.calls.events import Event, event_envelope
from workers.calls.kept import KeptFact
from workers.calls.merge import all_announced, build_record
from workers.calls.session import Session, published_as, version_key, winners

UNHURRIED: Final = 20  # revisions, which no call has: each carries the whole record, and those after them gather longer
LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PRIORITY: Final[Sequence[ChangeReason]] = ("event", "decision", "cdr_added", "cdr_amended")
_CAUSES: Final[Mapping[KindOfFact, ChangeReason]] = {
    FactKind.CALL_EVENT: "event", FactKind.ANNOUNCEMENT: "event", FactKind.DECISION: "decision",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a source's sessions wait, and what its calls are billed in; see docs/contract.md section 5."""

    settle: timedelta = timedelta(seconds=2)
    cdr_wait: timedelta = timedelta(minutes=15)
    open_max: timedelta = timedelta(hours=24)
    call_events: bool = True
    billing: Billing = "minute"


@value
class Step:
    """The session after some facts and a moment: what leaves through the outbox, and when to look again.

    `left_out`: those of the news that found no room, and are dead letters.
    """

    session: Session
    envelopes: tuple[Envelope, ...] = ()
    due_at: datetime | None = None
    left_out: tuple[KeptFact, ...] = ()


def step(
    session: Session | None, news: Sequence[KeptFact], *, now: datetime, patience: Patience, trace: str = ""
) -> Step:
    """Fold the news in, as far as there is room, and say what is due at `now`."""
    old = session or Session(facts={})
    held = hold(old, news)
    taken = _taken(old, held.session, news, now=now, patience=patience, trace=trace)
    return taken if not held.session.cut else with_what_went(taken, held, trace=trace)


def with_what_went(taken: Step, held: Held, *, trace: str) -> Step:
    """The step, with what found no room: the news among it fail, what was there before leaves with the outbox."""
    went = tuple([sent_back(fact, trace=trace) for fact in held.given_back])
    return Step(
        session=taken.session,
        envelopes=(*taken.envelopes, *went),
        due_at=taken.due_at,
        left_out=held.left_out,
    )


def _taken(
    old: Session, current: Session, news: Sequence[KeptFact], *, now: datetime, patience: Patience, trace: str
) -> Step:
    if waiting := _only_waits(current, now, patience):
        return waiting
    winning = winners(current.facts)
    record = build_record(
        winning,
        call_events=patience.call_events,
        billing=patience.billing,
        first=min(current.facts.values(), key=attrgetter("at")),
        revision=old.revision + 1,
        overdue=old.incomplete,
        cut=current.cut,
    )
    current = _with_change_noted(current, old, record, _winners_of(news, old, current, winning))
    due = _next(current, record, patience)
    if due is None or due[1] > now:
        return Step(session=current, due_at=due[1] if due else None)
    after, envelopes = _say(due[0], current, record, now=now, trace=trace)
    following = _next(after, record, patience)
    return Step(session=after, envelopes=envelopes, due_at=following[1] if following else None)


def _winners_of(
    news: Sequence[KeptFact], old: Session, current: Session, winning: Mapping[str, KeptFact]
) -> list[KeptFact]:
    """Those of the news that count now: nothing that was told before, nor what an amendment beats."""
    found = []
    for fact in news:
        version = version_key(fact)
        held, known = current.facts.get(version), old.facts.get(version)
        if held is not None and held is winning.get(fact.key) and held is not known and held.at == fact.at:
            found.append(fact)
    return found


def _only_waits(session: Session, now: datetime, patience: Patience) -> Step | None:
    """The step of a call of which nothing can be said yet: most steps, so they need not build the record."""
    if session.published is not None or session.completed or session.incomplete:
        return None
    if FactKind.CDR in [fact.kind for fact in session.facts.values()]:
        return None
    due_at = _overdue_at(session, patience)
    return Step(session=session, due_at=due_at) if due_at > now else None


def _next(session: Session, record: CallRecord, patience: Patience) -> tuple[str, datetime] | None:
    """The event that comes next and its moment; None when everything has been said."""
    cdrs = [fact.waits_from for fact in session.facts.values() if fact.kind == FactKind.CDR]
    if cdrs and not session.completed:
        return "call.completed", LONG_AGO if record["complete"] else min(cdrs) + patience.settle
    if not cdrs and not (session.incomplete or session.completed):
        return "call.incomplete", _overdue_at(session, patience)
    ended = _newly_ended(session, record)
    if session.changed_at is not None:
        gathered = patience.settle * (1 + session.revision // UNHURRIED)
        return "call.amended", LONG_AGO if ended else session.changed_at + gathered
    if ended and session.completed:
        return f"recording.{ended[0]['state']}", LONG_AGO
    return None


def _overdue_at(session: Session, patience: Patience) -> datetime:
    ends = [fact.waits_from for fact in session.facts.values() if fact.event_type == "ended"]
    if ends:
        return min(ends) + patience.cdr_wait
    return max([fact.waits_from for fact in session.facts.values()]) + patience.open_max


def _newly_ended(session: Session, record: CallRecord) -> list[RecordingRow]:
    """Recordings whose end no event has reported yet."""
    return [row for row in record["recordings"] if row["state"] != "wanted" and _end(row) not in session.ended]


def _end(row: RecordingRow) -> str:
    return f"{row['key']}|{row['state']}"


def _with_change_noted(current: Session, old: Session, record: CallRecord, winners: Sequence[KeptFact]) -> Session:
    """Remember when and by what the record began to differ from what was published; recordings tell themselves.

    A completed call whose published record is gone came back from its tombstone: a CDR changes all of it.
    """
    if current.published is None and not (current.completed and record["cdrs"]):
        return current
    if current.published and _comparable(published_call(current.published)) == _comparable(record):
        return current.having(changed_at=None, changed_by=None)
    causes = [cause for fact in winners if (cause := _cause(fact, old)) is not None]
    if current.changed_by is not None:
        causes.append(current.changed_by)
    first = min((fact.waits_from for fact in winners), default=None)
    return current.having(
        changed_at=current.changed_at or first or LONG_AGO,
        changed_by=max(causes, key=_PRIORITY.index, default="event"),
    )


def _cause(fact: KeptFact, old: Session) -> ChangeReason | None:
    if fact.kind == FactKind.CDR:
        return "cdr_amended" if any(known.key == fact.key for known in old.facts.values()) else "cdr_added"
    return _CAUSES.get(fact.kind)


def _comparable(record: CallRecord) -> JsonObject:
    """Without what is no change of the call: the count of its revisions, how each recording ended, what was mended.

    Nor is when we first heard of it, which an older telling of the same can make earlier, or what it is billed in. A
    record that was published before there were such fields lacks them, and has 0 for a time to talk that nobody knows.
    """
    return {
        **record,
        "revision": None,
        "repaired": None,
        "at": None,
        "received_at": None,
        "talk_seconds": record["talk_seconds"] or 0,
        "cdrs": [{**cdr, "billed_minutes": None, "talk_seconds": cdr["talk_seconds"] or 0} for cdr in record["cdrs"]],
        "recordings": [row["key"] for row in record["recordings"]],
    }


def _say(
    kind: str, session: Session, record: CallRecord, *, now: datetime, trace: str
) -> tuple[Session, tuple[Envelope, ...]]:
    """One revision: its event and the recording work that it orders."""
    revision = record["revision"]
    call = orjson.dumps(record)
    whole = orjson.Fragment(call)
    data: JsonObject = {"call": whole, "changed": [], "reason": "cdr" if kind == "call.completed" else "deadline"}
    discriminator = None
    ended = session.ended
    if kind not in ("call.completed", "call.incomplete"):
        told = orjson.loads(call)
        before = as_told_now(published_call(session.published), told) if session.published else None
        data["changed"] = changed(before, told)
        data["reason"] = session.changed_by
    if kind.startswith("recording."):
        row = _newly_ended(session, record)[0]
        data = {"call": whole, "recording": row, "changed": data["changed"], "reason": "recording"}
        discriminator = f"{_end(row)}|{revision}"
        ended |= {_end(row)}
    event = Event(type=kind, source=record["source"], subject=record["id"], time=now, data=data, revision=revision)
    made = event_envelope(event, at=now, trace=trace, discriminator=discriminator)
    orders = _orders(session, record, now=now, trace=trace)
    after = published_as(
        session,
        call,
        revision,
        said=made.id,
        completed=session.completed or kind == "call.completed",
        incomplete=session.incomplete or kind == "call.incomplete",
        ended=ended,
        ordered=session.ordered | {key for key, _ in orders},
    )
    return after, (made, *(order for _, order in orders))


def _orders(session: Session, record: CallRecord, *, now: datetime, trace: str) -> list[tuple[str, Envelope]]:
    """Work for fetch_recording, once per recording: it leaves with the first revision that announces it."""
    wanted = [
        row["key"] for row in record["recordings"] if row["state"] == "wanted" and row["key"] not in session.ordered
    ]
    if not wanted:
        return []
    announced = {
        recording_key(record["id"], recording): recording for recording in all_announced(session.facts.values())
    }
    return [
        (
            key,
            Envelope(
                id=derived_id("recording_wanted", key),
                kind=Kind.RECORDING_WANTED,
                source=record["source"],
                at=now,
                body=asdict(
                    RecordingWanted(
                        call_id=record["id"],
                        session_id=record["session_id"],
                        key=key,
                        name=announced[key].name,
                        domain=announced[key].domain,
                        url=announced[key].url,
                        called_at=announced[key].called_at,
                    )
                ),
                trace=trace,
            ),
        )
        for key in wanted
    ]
