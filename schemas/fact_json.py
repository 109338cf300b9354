"""A fact as JSON: how it travels to correlate, and what is read there by name. Moments are RFC 3339 in UTC with Z."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, NotRequired, TypedDict

import orjson

from schemas.envelope import Envelope, JsonObject, Kind
from schemas.facts import (
    Announced,
    Announcement,
    Code,
    Decided,
    Fact,
    FactBody,
    FactKind,
    KindOfFact,
    NumberState,
    Other,
    Parsed,
    Recording,
    Sms,
)
from schemas.privacy.secrets import without_secrets
from schemas.vocabulary import (
    Action,
    AskedKind,
    DecidedBy,
    Direction,
    Mode,
    Outcome,
    RecordingEnd,
    Repair,
    SmsMode,
    SmsStatus,
    TimelineType,
)

RAW_BYTES: Final = 64 * 1024  # of a fact's raw; a CDR has half a KiB
TOLD_BYTES: Final = 1024 * 1024  # of what is told alone and never again, such as a transcript: the door takes no more
FIELDS_BYTES: Final = 16 * 1024  # of what stands beside it
TEXT_CHARACTERS: Final = 512  # of a text, where the fields have more than that; documented are 256

_NOTHING_REPAIRED: Final = b',"repaired":[]}'


class CodeJson(TypedDict):
    """A `Code`."""

    name: str
    value: int | str
    outcome: Outcome | None
    text: str | None


class CallJson(TypedDict, total=False):
    """`CallFields`; correlate keeps no nulls in it, so what is there was reported."""

    product: str
    mode: Mode
    direction: Direction
    caller: str
    callee: str
    private_number: str
    display_number: str
    extension: str
    binding_id: str
    user_data: str
    called_in_at: str
    started_at: str
    ringing_at: str
    answered_at: str
    ended_at: str
    talk_seconds: int
    codes: list[CodeJson]


class EventJson(TypedDict):
    """A `CallEvent`."""

    type: TimelineType
    platform_type: str
    at: str | None
    leg: str | None
    caller: str | None
    callee: str | None
    call: CallJson
    raw: JsonObject


class LegJson(TypedDict):
    """A `Leg`."""

    name: str
    number: str | None
    started_at: str | None
    ringing_at: str | None
    answered_at: str | None
    ended_at: str | None


class CdrJson(TypedDict):
    """A `Cdr`."""

    record_id: str
    call: CallJson
    legs: list[LegJson]
    recordings: list[JsonObject]
    implies: list[str]
    raw: JsonObject


class RecordingJson(TypedDict):
    """A `Recording`."""

    key: str
    state: RecordingEnd
    place: str | None
    bytes: int | None
    sha256: str | None
    seconds: float | None
    format: str | None
    reason: str | None


class SmsJson(TypedDict):
    """An `Sms`."""

    identifier: str
    mode: SmsMode
    direction: Direction | None
    sender: str | None
    receiver: str | None
    private_number: str | None
    binding_id: str | None
    user_data: str | None
    text: str | None
    parts: int | None
    sent_at: str | None
    status: SmsStatus | None
    code: CodeJson | None
    raw: JsonObject


class DecidedJson(TypedDict):
    """A `Decided`."""

    asked: AskedKind
    action: Action
    by: DecidedBy
    milliseconds: int
    callee: str | None


class SessionJson(TypedDict):
    """What all facts of one session share."""

    source: str
    platform: str
    session_id: str


class IdentityJson(TypedDict):
    """What tells a fact from the others of its session; `type`, `seen` and `raw_bytes` are noted by correlate.

    `type` is that of a call event. `seen`: correlate's own clock, of a fact from a door whose clock is ahead of it.
    `raw_bytes`: how long a `raw` was that found no room in its session. `repaired`: what was mended in it; absent where
    that is nothing, as in every fact of before there was such a field.
    """

    id: str
    kind: KindOfFact
    key: str
    fingerprint: str
    at: str
    type: NotRequired[TimelineType]
    seen: NotRequired[str]
    raw_bytes: NotRequired[int]
    repaired: NotRequired[list[Repair]]


class FactJson(SessionJson, IdentityJson):
    """A whole fact; the shape of `body` is that of its kind."""

    body: Any


def identified(item: Parsed, envelope: Envelope, *, fact_id: str, platform: str) -> Fact:
    """The fact that an item of this envelope is: of its source, told when it came, without keys and signed links.

    Its fingerprint is that of the item as it was sent.
    """
    return Fact(
        id=fact_id,
        kind=item.kind,
        source=envelope.source,
        platform=platform,
        session_id=item.session_id,
        key=item.key,
        fingerprint=item.fingerprint,
        at=envelope.at,
        body=_without_secrets(item.body),
        repaired=item.repaired,
    )


def _without_secrets(body: FactBody) -> FactBody:
    if isinstance(body, (Recording, Decided)):
        return body
    raw = without_secrets(body.raw)
    return body if raw is body.raw else type(body)(**{**vars(body), "raw": raw})


def fact_envelope(fact: Fact, *, trace: str) -> Envelope:
    """The fact on its way to correlate."""
    return Envelope(id=fact.id, kind=Kind.FACT, source=fact.source, at=fact.at, body=encode_fact(fact), trace=trace)


def encode_fact(fact: Fact) -> bytes:
    """A fact as JSON, within its bounds; `repaired` is absent where nothing was."""
    encoded = orjson.dumps(fact, option=orjson.OPT_UTC_Z)
    if not fact.repaired:
        encoded = encoded[: -len(_NOTHING_REPAIRED)] + b"}"
    return encoded if len(encoded) <= RAW_BYTES else _cut(encoded)


def _cut(encoded: bytes) -> bytes:
    """Without a `raw` that is too long, and with its longest texts shortened, marked as `cut`; else as it was."""
    row = orjson.loads(encoded)
    raw = row["body"].pop("raw", None)
    most = TOLD_BYTES if row["kind"] == FactKind.OTHER else RAW_BYTES
    is_long = raw is not None and len(orjson.dumps(raw)) > most
    is_wide = len(orjson.dumps(row["body"])) > FIELDS_BYTES
    if not is_long and not is_wide:
        return encoded
    body = _shortened(row["body"]) if is_wide else row["body"]
    if raw is not None:
        body["raw"] = {} if is_long else raw
    repaired = sorted({*row.get("repaired", ()), "cut"})
    return orjson.dumps({**row, "body": body, "repaired": repaired})


def _shortened(value: Any) -> Any:
    if isinstance(value, str):
        return value[:TEXT_CHARACTERS]
    if isinstance(value, list):
        return [_shortened(one) for one in value]
    return {name: _shortened(one) for name, one in value.items()} if isinstance(value, dict) else value


def check_body(kind: KindOfFact, row: JsonObject) -> None:
    """Refuse what is no body of this kind; a call event and a CDR are read field by field, and checked as they are.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it is none, or nobody knows the kind.
    """
    _BODIES[kind](row)


def decode_announced(row: JsonObject) -> Announced:
    """An announced recording of a row."""
    return Announced(**_with_moment(row, "called_at"))


def _with_moment(row: JsonObject, name: str) -> JsonObject:
    written = row.get(name)
    return {**row, name: datetime.fromisoformat(written) if written else written}


def _sms(row: JsonObject) -> Sms:
    code = row.get("code")
    return Sms(**{**_with_moment(row, "sent_at"), "code": Code(**code) if code else None})


_BODIES: Final[Mapping[KindOfFact, Callable[[JsonObject], object]]] = {
    FactKind.ANNOUNCEMENT: lambda row: Announcement(recording=decode_announced(row["recording"]), raw=row["raw"]),
    FactKind.RECORDING: lambda row: Recording(**row),
    FactKind.SMS: _sms,
    FactKind.NUMBER_STATE: lambda row: NumberState(**row),
    FactKind.DECISION: lambda row: Decided(**row),
    FactKind.OTHER: lambda row: Other(**row),
}
