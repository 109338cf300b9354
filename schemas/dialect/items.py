"""What is made of one item: its body, and the key that another telling of it has too.

The only place that spells keys. A key begins with what the fact is, so that a holder of the key alone knows whether
sessions keep the fact; claims are kept for a week, so a word once spelled stays as it is.
Source: docs/design.md section 5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import orjson

from schemas.dialect.fields import MAX_ID
from schemas.dialect.json_body import fingerprint, sha256_hex
from schemas.dialect.times import iso
from schemas.envelope import JsonObject
from schemas.errors import Malformed
from schemas.facts import (
    Announcement,
    CallEvent,
    Cdr,
    Decided,
    FactKind,
    KindOfFact,
    NumberState,
    Other,
    Parsed,
    Recording,
    Sms,
)  # fmt: skip
from schemas.numbers import canonical
from schemas.question import Asked

# The first word of a key, by the kind of its fact.
WORDS: Final[Mapping[KindOfFact, str]] = {
    FactKind.CALL_EVENT: "event",
    FactKind.CDR: "cdr",
    FactKind.ANNOUNCEMENT: "announcement",
    FactKind.RECORDING: "recording",
    FactKind.SMS: "sms",
    FactKind.NUMBER_STATE: "number_state",
    FactKind.DECISION: "decided",
    FactKind.OTHER: "other",
}
NUMBER_BY_CONTENT: Final = "number"  # of a number state that is known by its content, as Aliyun's always was
NUMBER_BY_LATEST: Final = "number_latest"  # of one without a time: what repeats it is what equals the latest

_SEPARATOR: Final = "|"
_FOLDED: Final = tuple(
    WORDS[kind] + _SEPARATOR for kind in (FactKind.ANNOUNCEMENT, FactKind.CDR, FactKind.CALL_EVENT, FactKind.SMS)
)
_LATEST: Final = NUMBER_BY_LATEST + _SEPARATOR
_CALLED_DIGITS: Final = 16
_UNNAMED_DIGITS: Final = 32
_NUMBER_DIGITS: Final = 32


def key_of(kind: KindOfFact, *parts: str) -> str:
    """The key of a fact of this kind; `parts` name it within its source."""
    return _SEPARATOR.join((WORDS[kind], *parts))


def folds(key: str) -> bool:
    """Whether dedupe passes facts of this key into sessions.

    What a session holds besides (recordings, decisions) never was claimed, and what is told at once (`other`, number
    states) never is in a session.
    """
    return key.startswith(_FOLDED)


def repeats_only_the_latest(key: str) -> bool:
    """Whether another telling of this key is a repetition only while nothing else was told of it in between."""
    return key.startswith(_LATEST)


def unnamed_session(raw: JsonObject) -> str:
    """The session of a question that names none, so that it is answered all the same; asked again, it is the same."""
    return f"asked:{fingerprint(raw)[:_UNNAMED_DIGITS]}"


def call_event(event: CallEvent, *, session_id: str, key: Iterable[str]) -> Parsed:
    """A live call event. Its `raw` is the whole item, as in each of these bodies: the fingerprint is taken of it."""
    return _parsed(FactKind.CALL_EVENT, event, session_id=session_id, key=key)


def call_event_to(called: str | None, event: CallEvent, *, session_id: str) -> Parsed:
    """A call event keyed by session, type, called number and moment.

    The key holds the called number as a digest only, since keys reach logs.
    """
    digest = sha256_hex((called or "").encode())[:_CALLED_DIGITS]
    moment = iso(event.at) if event.at else ""
    return call_event(event, session_id=session_id, key=(session_id, event.platform_type.lower(), digest, moment))


def cdr(record: Cdr, *, session_id: str, key: Iterable[str]) -> Parsed:
    """A call detail record; what stands in `key` must not change when the platform corrects the record."""
    return _parsed(FactKind.CDR, record, session_id=session_id, key=key)


def sms(message: Sms, *more: str) -> Parsed:
    """A short message, gathered under its identifier and keyed by identifier, mode and `more`."""
    return _parsed(FactKind.SMS, message, session_id=message.identifier, key=(message.identifier, message.mode, *more))


def announcement(announced: Announcement, *, session_id: str) -> Parsed:
    """A recording announced on its own: one for each session."""
    return _parsed(FactKind.ANNOUNCEMENT, announced, session_id=session_id, key=(session_id,))


def latest_number_state(raw: JsonObject, *, number: str, state: JsonObject | None = None) -> Parsed:
    """The state of one private number, told without a time, of no session.

    The same content again is a re-push as long as it is the latest that was told of that number, and news after another
    one. `state` is what tells states apart, where `raw` holds more than that. The key holds a digest of the number,
    however it is spelled.
    """
    key = _LATEST + sha256_hex(canonical(number).encode())[:_NUMBER_DIGITS]
    body = NumberState(raw=raw)
    digest = fingerprint(raw if state is None else state)
    return Parsed(kind=FactKind.NUMBER_STATE, session_id="", key=key, fingerprint=digest, body=body)


def number_state(raw: JsonObject, *, sent: bytes | None = None) -> Parsed:
    """The state of a private number, of no session; known by the bytes `sent` where they are given, else by content.

    Two that differ in anything are two changes: each holds its time.
    """
    digest = fingerprint(raw)
    key = NUMBER_BY_CONTENT + _SEPARATOR + digest if sent is None else key_of(FactKind.NUMBER_STATE, sha256_hex(sent))
    return Parsed(kind=FactKind.NUMBER_STATE, session_id="", key=key, fingerprint=digest, body=NumberState(raw=raw))


def other(raw: JsonObject, *, session_id: str | None, named: bool, sent: bytes | None = None) -> Parsed:
    """Anything else, known as a number state is. No error where its type is `named`, since new types appear.

    It belongs to the session that it names, unless that id is longer than an id may be.

    Raises:
        Malformed: unknown_push, of what says neither what it is nor which call it is of: it may be anybody's.
    """
    known = session_id if session_id and len(session_id) <= MAX_ID else ""
    if not named and not known:
        raise Malformed("unknown_push")
    digest = fingerprint(raw)
    return Parsed(
        kind=FactKind.OTHER,
        session_id=known,
        key=key_of(FactKind.OTHER, digest if sent is None else sha256_hex(sent)),
        fingerprint=digest,
        body=Other(raw=raw),
    )


def recording(fetched: Recording, *, session_id: str, key: str) -> Parsed:
    """How the fetch of one recording ended; `key` is that of the work order."""
    return Parsed(
        kind=FactKind.RECORDING,
        session_id=session_id,
        key=key_of(FactKind.RECORDING, key),
        fingerprint=sha256_hex(orjson.dumps(fetched, option=orjson.OPT_SORT_KEYS)),
        body=fetched,
    )


def decision(decided: Decided, *, asked: Asked, envelope_id: str) -> Parsed:
    """What was decided about a question; each push that asks has its own, whatever it says."""
    return Parsed(
        kind=FactKind.DECISION,
        session_id=asked.session_id,
        key=key_of(FactKind.DECISION, asked.key),
        fingerprint=sha256_hex(orjson.dumps([envelope_id, decided])),
        body=decided,
    )


def attempt(read: Callable[[], Parsed]) -> Parsed | Malformed:
    """One result for one item: what is wrong with it does not spoil its neighbours."""
    try:
        return read()
    except Malformed as error:
        return error.with_traceback(None)


def attempt_object(read: Callable[[JsonObject], Parsed], item: Any) -> Parsed | Malformed:
    """The same for an item that has to be an object: `not_an_object` is what else it is."""
    if not isinstance(item, dict):
        return Malformed("not_an_object")
    try:
        return read(item)
    except Malformed as error:
        return error.with_traceback(None)


def _parsed(
    kind: KindOfFact, body: CallEvent | Cdr | Sms | Announcement, *, session_id: str, key: Iterable[str]
) -> Parsed:
    spelled = _SEPARATOR.join((WORDS[kind], *key))
    return Parsed(kind=kind, session_id=session_id, key=spelled, fingerprint=fingerprint(body.raw), body=body)
