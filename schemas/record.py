"""The call record, and that of an SMS: one trustworthy account, as data (docs/contract.md section 1).

These types are both what mypy checks when a record is built and what the published JSON Schemas are made from. A record
is plain JSON, so there is nothing to build or to validate at run time. Absent is null; moments are RFC 3339 in UTC with
Z; durations are seconds; numbers are E.164 where the platform's number allows it, else as sent.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict  # pydantic reads typing's own only from Python 3.12

from schemas.vocabulary import (
    Action,
    DecidedBy,
    Direction,
    MediaType,
    Missing,
    Mode,
    Outcome,
    RecordingState,
    Repair,
    SmsStatus,
    TimelineType,
)

_CLOSED: Final = ConfigDict(extra="forbid", hide_input_in_errors=True)

Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class CallPart(TypedDict):
    """What is said of a call as a whole, alike at the top of the record and in each CDR: parties first, then times."""

    product: Annotated[str | None, Field(description="privatenumber, callback, notify, verify, pnp or axb")]
    mode: Annotated[Mode | None, Field(description="Which numbers the binding ties together")]
    direction: Annotated[Direction | None, Field(description="Which party called the private number")]
    caller: Annotated[str | None, Field(description="The real number of who called; null for notify and verify")]
    callee: Annotated[str | None, Field(description="The real number of who was called")]
    private_number: Annotated[str | None, Field(description="The number between the parties (X)")]
    display_number: Annotated[str | None, Field(description="The number that the called party saw")]
    extension: Annotated[str | None, Field(description="The extension behind the private number (E)")]
    binding_id: Annotated[str | None, Field(description="The platform's id of the binding")]
    user_data: Annotated[str | None, Field(description="What the customer attached to the call or binding")]
    called_in_at: Annotated[Moment | None, Field(description="When the call reached the private number")]
    started_at: Annotated[Moment | None, Field(description="When the called party was dialled")]
    ringing_at: Annotated[Moment | None, Field(description="When the called party's phone began to ring")]
    answered_at: Annotated[Moment | None, Field(description="When the called party answered")]
    ended_at: Annotated[Moment | None, Field(description="When the call ended")]


@with_config(_CLOSED)
class Reason(TypedDict):
    """The platform's codes as sent, and what the deciding one means."""

    state_code: Annotated[int | str | None, Field(description="The platform's code for how the call stands")]
    fail_code: Annotated[int | str | None, Field(description="The platform's code for why the call failed")]
    q850: Annotated[int | str | None, Field(description="The release cause of ITU-T Q.850")]
    sip: Annotated[int | str | None, Field(description="The SIP status")]
    text: Annotated[str | None, Field(description="What the deciding code means, in English")]


class Measures(TypedDict):
    """What follows from the times and codes of a call or of one CDR."""

    ring_seconds: Annotated[float | None, Field(description="From ringing to the answer, or to the end")]
    talk_seconds: Annotated[
        float | None,
        Field(description="The platform's own, else answer to end; 0 if surely unanswered, null if unknown"),
    ]
    answered: Annotated[bool, Field(description="Whether a CDR or a call event shows an answer")]
    outcome: Annotated[Outcome, Field(description="`answered`, else what the first code that decides one means")]
    reason: Annotated[Reason, Field(description="The platform's codes")]


@with_config(_CLOSED)
class LegRow(TypedDict):
    """One side's connection."""

    name: Annotated[str, Field(description="a or b: the party at its end")]
    number: Annotated[str | None, Field(description="The real number of that party")]
    started_at: Annotated[Moment | None, Field(description="When it was dialled")]
    ringing_at: Annotated[Moment | None, Field(description="When it began to ring")]
    answered_at: Annotated[Moment | None, Field(description="When it was answered")]
    ended_at: Annotated[Moment | None, Field(description="When it ended")]


class _CdrIdentity(TypedDict):
    record_id: Annotated[str, Field(description="The platform's id of this CDR")]


@with_config(_CLOSED)
class CdrRow(_CdrIdentity, CallPart, Measures):
    """One CDR of the call: bill these, not the top line."""

    raw: Annotated[dict[str, Any], Field(description="The CDR as the platform sent it")]
    billed_minutes: Annotated[
        float | None,
        Field(description="Started minutes of `talk_seconds`, by `billing`; null if not answered or unknown"),
    ]


@with_config(_CLOSED)
class TimelineRow(TypedDict):
    """One live call event, or what was decided when the platform asked."""

    type: Annotated[TimelineType, Field(description="What happened")]
    platform_type: Annotated[str, Field(description="The platform's own name for it; of `decided` the action")]
    at: Annotated[Moment | None, Field(description="When, by the platform's clock; of `decided` by ours")]
    leg: Annotated[str | None, Field(description="The leg it happened on, where that is known")]
    caller: Annotated[str | None, Field(description="Who calls, as this event names it")]
    callee: Annotated[str | None, Field(description="Who is called, as this event names it")]
    raw: Annotated[dict[str, Any], Field(description="The event as the platform sent it")]


@with_config(_CLOSED)
class RecordingRow(TypedDict):
    """One announced recording and how its fetch stands."""

    key: Annotated[str, Field(description="Our id of the recording, the same in every revision")]
    state: Annotated[RecordingState, Field(description="`wanted` until its fetch has ended")]
    place: Annotated[str | None, Field(description="Where it is stored, relative to the object store")]
    bytes: Annotated[int | None, Field(description="The size of the audio")]
    sha256: Annotated[str | None, Field(description="The digest of the audio, in hex")]
    seconds: Annotated[float | None, Field(description="The length of the audio, where its format tells")]
    format: Annotated[str | None, Field(description="The format of the audio, such as wav or mp3")]
    reason: Annotated[str | None, Field(description="Why it failed, in one word, such as no_file_named")]
    name: Annotated[str | None, Field(description="The platform's own file name, where it told one")]
    media_type: Annotated[MediaType | None, Field(description="The media type of the audio, once it is stored")]


@with_config(_CLOSED)
class DecisionRow(TypedDict):
    """What was decided when the platform asked."""

    action: Annotated[Action, Field(description="connect or close a call, route or discard an SMS")]
    callee: Annotated[str | None, Field(description="The real number to connect or route to")]
    by: Annotated[DecidedBy, Field(description="A rule of ours, a service that answered, or the source's default")]
    milliseconds: Annotated[int, Field(description="How long the platform waited for the answer")]


class _Identity(TypedDict):
    id: Annotated[str, Field(description="<source>:<session id>")]
    source: Annotated[str, Field(description="The configured account at the platform")]
    session_id: Annotated[str, Field(description="The platform's id of the call")]
    platform: Annotated[str, Field(description="The telephony product, such as huawei_privatenumber")]
    at: Annotated[Moment, Field(description="Its best known moment: called in, else started ... ended, else received")]
    received_at: Annotated[Moment, Field(description="When the first push about it was answered, by our clock")]


@with_config(_CLOSED)
class CallRecord(_Identity, CallPart, Measures):
    """`data.call` of every event about a call; absent is null, times are UTC, durations are seconds."""

    legs: Annotated[list[LegRow], Field(description="Both sides' connections, as the first CDR has them")]
    cdrs: Annotated[list[CdrRow], Field(description="Every CDR, the one that counts for the top line first")]
    timeline: Annotated[list[TimelineRow], Field(description="Live call events by time; what has no time comes last")]
    recordings: Annotated[list[RecordingRow], Field(description="Every announced recording")]
    decision: Annotated[DecisionRow | None, Field(description="The latest answer to the platform's question")]
    revision: Annotated[int, Field(description="Counts from 1 and rises with every event about this call")]
    complete: Annotated[bool, Field(description="Whether nothing is missing")]
    missing: Annotated[list[Missing], Field(description="The events that must have been, and have not come")]
    late: Annotated[bool, Field(description="Whether a CDR came after `call.incomplete`")]
    repaired: Annotated[list[Repair], Field(description="What was mended in its pushes while they were read")]


@with_config(_CLOSED)
class SmsCode(TypedDict):
    """The platform's result code as sent, and what it means."""

    name: Annotated[str, Field(description="The platform's name for this kind of code")]
    value: Annotated[int | str, Field(description="The code as sent")]
    outcome: Annotated[Outcome | None, Field(description="What the code means for a call; null where nothing")]
    text: Annotated[str | None, Field(description="What the code means, in English")]


class _SmsIdentity(TypedDict):
    id: Annotated[str, Field(description="<source>:<identifier>")]
    source: Annotated[str, Field(description="The configured account at the platform")]
    platform: Annotated[str, Field(description="The telephony product, such as huawei_privatenumber")]
    identifier: Annotated[str, Field(description="The platform's id of the SMS")]


class SmsPart(TypedDict):
    """What one push about an SMS tells of it."""

    direction: Annotated[Direction | None, Field(description="Which party wrote to the private number")]
    sender: Annotated[str | None, Field(description="The real number of who wrote")]
    receiver: Annotated[str | None, Field(description="The real number of who is written to")]
    private_number: Annotated[str | None, Field(description="The number between the parties (X)")]
    binding_id: Annotated[str | None, Field(description="The platform's id of the binding")]
    user_data: Annotated[str | None, Field(description="What the customer attached to the SMS or binding")]
    text: Annotated[str | None, Field(description="What was written, where the platform tells")]
    parts: Annotated[int | None, Field(description="How many short messages it took")]
    sent_at: Annotated[Moment | None, Field(description="When it was sent, by the platform's clock")]
    status: Annotated[SmsStatus | None, Field(description="What became of it; null where the platform does not say")]


@with_config(_CLOSED)
class SmsRecord(_SmsIdentity, SmsPart):
    """`data.sms` of `sms.notified`: sender and receiver are the REAL parties, `raw` by mode as the platform sent it."""

    code: Annotated[SmsCode | None, Field(description="The platform's result")]
    decision: Annotated[DecisionRow | None, Field(description="The latest answer to the platform's question")]
    revision: Annotated[int, Field(description="Counts from 1 and rises with every event about this SMS")]
    raw: Annotated[
        dict[str, dict[str, Any]], Field(description="As the platform sent it: question as `block`, notice as `notify`")
    ]
    repaired: Annotated[list[Repair], Field(description="What was mended in its pushes while they were read")]


CALL_PART: Final = tuple(CallPart.__annotations__)
SMS_PART: Final = tuple(SmsPart.__annotations__)
