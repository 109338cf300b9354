"""What every store keeps of a session and of its outbox, and how both come back from their rows.

A forgotten session comes back from its tombstone, an envelope byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import orjson
import structlog

from schemas.envelope import Envelope, decode_envelope
from workers.calls.session import Session, decode_session, encode_session, with_record
from workers.calls.step import Step
from workers.correlate import StepFunction
from workers.stores.ledger import arrivals

POSTPONED: Final = timedelta(minutes=10)
OF_NO_SESSION: Final = ""  # whose call's an outbox row is that tells of none
LEASE: Final = timedelta(seconds=5)  # how long an outbox row that was handed out is left to whoever has it

log = structlog.get_logger()


class SessionRow(NamedTuple):
    """A session's row; `hour` (`YYYY-MM-DDTHH`, UTC) is that of its first fact, under which the ledger counts it.

    `arrived` counts the facts that dedupe passed on, each under its own hour. `said` is the id of the event in the
    outbox that holds the record which was said last; None where nothing was said, or the state itself holds it.
    """

    id: str
    source: str
    state: bytes
    revision: int
    status: str
    hour: str
    arrived: str
    due_at: datetime | None
    said: str | None


class KeptSession(NamedTuple):
    """What a store knows of a session: its state, and the event that holds its record, with that row of the outbox."""

    state: bytes
    said: str | None = None
    leaving: bytes | None = None


def session_row(call_id: str, step: Step) -> SessionRow:
    """The row to keep after a step."""
    session = step.session
    facts = session.facts.values()
    hour = min([fact.hour for fact in facts])
    return SessionRow(
        id=call_id,
        source=next(iter(facts)).source,
        state=encode_session(session),
        revision=session.revision,
        status=status_of(session),
        hour=hour,
        arrived=arrivals(facts),
        due_at=step.due_at,
        said=session.said or None,
    )


def status_of(session: Session) -> str:
    """What was said of it."""
    return "completed" if session.completed else "incomplete" if session.incomplete else "open"


def swept(rows: Iterable[tuple[str, KeptSession]], step: StepFunction) -> tuple[dict[str, Step], list[str]]:
    """What is due of each session, and the calls whose session cannot be read or stepped.

    One bad session must not stop the deadlines of all others: it is looked at again after POSTPONED.
    """
    steps: dict[str, Step] = {}
    bad: list[str] = []
    for call_id, kept in rows:
        try:
            steps[call_id] = step(_session(kept), [])
        except Exception as error:  # noqa: BLE001 - whatever a newer or damaged state makes it raise
            log.error("session.unreadable", call=call_id, error=type(error).__name__)
            bad.append(call_id)
    return steps, bad


def session_before(kept: KeptSession | None, tombstone: tuple[int, str] | None) -> Session | None:
    """The session as a step wants it: from its state, or else from its tombstone, or None for a new call.

    A forgotten call goes on above its last revision (a sink would ignore a lower one), and what was said once is
    not said twice: after `call.completed` a late CDR is `call.amended`, after `call.incomplete` it is the one
    `call.completed`, and without a CDR nothing is said. Its facts are gone: the record holds what came since.
    """
    if kept is not None and kept.state:
        return _session(kept)
    if tombstone is None:
        return None
    revision, status = tombstone
    return Session(facts={}, revision=revision, completed=status == "completed", incomplete=status == "incomplete")


def _session(kept: KeptSession) -> Session:
    """With the record that was said last, read back from the event that said it."""
    if kept.said is None or kept.leaving is None:
        return decode_session(kept.state)
    return decode_session(kept.state, said=kept.said, published=_record_in(kept.leaving))


def taken_over(state: bytes, leaving: bytes) -> bytes:
    """The state of a session that outlives the event which holds its record, with that record in it."""
    return with_record(state, _record_in(leaving))


def _record_in(leaving: bytes) -> bytes:
    data = orjson.loads(orjson.loads(leaving)["body"])["data"]
    return orjson.dumps(data["call"] if "call" in data else data["sms"])


def stored_envelope(row: bytes) -> Envelope:
    """The envelope of an outbox row; an event's body comes back as the very bytes that were stored."""
    return decode_envelope(orjson.loads(row))
