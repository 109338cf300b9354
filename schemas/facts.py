"""Facts: what a platform told us, parsed, or what we learned; they fold into one call record.

A dialect makes the bodies (pure), dedupe adds identity, correlate folds. Times are aware UTC. Whatever the
platform sent stays under `raw`, unknown fields and codes included.
"""

from __future__ import annotations

from dataclasses import field
from datetime import datetime
from typing import Final, Literal

from schemas.envelope import JsonObject
from schemas.value import value
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

KindOfFact = Literal["call_event", "cdr", "announcement", "recording", "sms", "number_state", "decision", "other"]


class FactKind:
    """The kinds of fact."""

    CALL_EVENT: Final = "call_event"
    CDR: Final = "cdr"
    ANNOUNCEMENT: Final = "announcement"
    RECORDING: Final = "recording"
    SMS: Final = "sms"
    NUMBER_STATE: Final = "number_state"
    DECISION: Final = "decision"
    OTHER: Final = "other"


@value
class Code:
    """One result code as sent; `outcome` by docs/contract.md section 1, None where it decides nothing."""

    name: str
    value: int | str
    outcome: Outcome | None = None
    text: str | None = None


@value
class CallFields:
    """What one notification tells about the call as a whole: the REAL parties, numbers in E.164, None if not told.

    `talk_seconds`: the platform's own figure, which beats its times; more than 0 means answered.
    """

    product: str | None = None
    mode: Mode | None = None
    direction: Direction | None = None
    caller: str | None = None
    callee: str | None = None
    private_number: str | None = None
    display_number: str | None = None
    extension: str | None = None
    binding_id: str | None = None
    user_data: str | None = None
    called_in_at: datetime | None = None
    started_at: datetime | None = None
    ringing_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    talk_seconds: int | None = None
    codes: tuple[Code, ...] = ()


@value
class CallEvent:
    """A live call event; `caller` and `callee` are as this event names them, `call` what it tells of the call."""

    type: TimelineType
    platform_type: str
    at: datetime | None
    leg: str | None = None
    caller: str | None = None
    callee: str | None = None
    call: CallFields = field(default_factory=CallFields)
    raw: JsonObject = field(default_factory=dict)


@value
class Leg:
    """One side's connection."""

    name: str
    number: str | None = None
    started_at: datetime | None = None
    ringing_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None


@value
class Announced:
    """A recording that a platform announced; with neither name nor URL it can never be fetched: `no_file_named`.

    `called_at`: the moment of the call, by which some platforms' API finds it.
    """

    name: str | None = None
    domain: str | None = None
    url: str | None = None
    called_at: datetime | None = None


@value
class Announcement:
    """A recording announced on its own, outside any CDR."""

    recording: Announced
    raw: JsonObject = field(default_factory=dict)


@value
class Cdr:
    """A call detail record; `implies` are the events that its own times say must exist.

    Each is a timeline type, or a type and a leg (`ringing.b`) where both legs have one.
    """

    record_id: str
    call: CallFields
    legs: tuple[Leg, ...] = ()
    recordings: tuple[Announced, ...] = ()
    implies: tuple[str, ...] = ()
    raw: JsonObject = field(default_factory=dict)


@value
class Recording:
    """How the fetch of one announced recording ended; `state` is stored or failed, `place` relative to the store."""

    key: str
    state: RecordingEnd
    place: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    seconds: float | None = None
    format: str | None = None
    reason: str | None = None


@value
class Sms:
    """A short message between the REAL parties; `mode` is `block` where the platform asked about it, else `notify`.

    `status` None: not reported; `code` is the platform's own result as sent.
    """

    identifier: str
    mode: SmsMode
    direction: Direction | None = None
    sender: str | None = None
    receiver: str | None = None
    private_number: str | None = None
    binding_id: str | None = None
    user_data: str | None = None
    text: str | None = None
    parts: int | None = None
    sent_at: datetime | None = None
    status: SmsStatus | None = None
    code: Code | None = None
    raw: JsonObject = field(default_factory=dict)


@value
class NumberState:
    """The state of a private number changed, as the platform told it."""

    raw: JsonObject


@value
class Decided:
    """A question of the platform was answered; `by` is rule, service or default, `milliseconds` how long it took."""

    asked: AskedKind
    action: Action
    by: DecidedBy
    milliseconds: int
    callee: str | None = None


@value
class Other:
    """Anything else a platform tells, kept raw."""

    raw: JsonObject


FactBody = CallEvent | Cdr | Announcement | Recording | Sms | NumberState | Decided | Other


@value
class Parsed:
    """What a dialect makes of one item: a body and its natural key.

    `key` never is the session id alone, since legs, merged batches and redials share it (docs/design.md section 5).
    `fingerprint` is the sha256 of the canonical item: the same key with another one is an amendment. `repaired`: what
    was mended in it while it was read.
    """

    kind: KindOfFact
    session_id: str
    key: str
    fingerprint: str
    body: FactBody
    repaired: tuple[Repair, ...] = ()


@value
class Fact:
    """A parsed item with its identity; `at` is the clock of the envelope that claimed it.

    `repaired` is the last field, which `encode_fact` relies on.
    """

    id: str
    kind: KindOfFact
    source: str
    platform: str
    session_id: str
    key: str
    fingerprint: str
    at: datetime
    body: FactBody
    repaired: tuple[Repair, ...] = ()

    @property
    def call_id(self) -> str:
        """The id of the call record it belongs to."""
        return f"{self.source}:{self.session_id}"
