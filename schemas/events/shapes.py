"""What each event holds in `data`, as types: the published JSON Schemas are made of them (docs/contract/schemas)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict  # pydantic reads typing's own only from Python 3.12

from schemas.events.versions import TEST
from schemas.record import CallRecord, DecisionRow, RecordingRow, SmsRecord, TimelineRow
from schemas.vocabulary import ChangeReason, Repair

_Raw = Annotated[dict[str, Any], Field(description="What the platform sent")]
_Repaired = Annotated[list[Repair], Field(description="What was mended in it, where something was")]


class _OfACall(TypedDict):
    call: Annotated[CallRecord, Field(description="The whole record of this revision")]
    changed: Annotated[list[str], Field(description="JSON pointers of what this revision changes in the record")]


class CallCompleted(_OfACall):
    """There is a CDR."""

    reason: Annotated[Literal["cdr"], Field(description="Why there is this event")]


class CallIncomplete(_OfACall):
    """The call has ended, and no CDR came in time."""

    reason: Annotated[Literal["deadline"], Field(description="Why there is this event")]


class CallAmended(_OfACall):
    """Something came later that changes the record."""

    reason: Annotated[ChangeReason, Field(description="Why there is this event")]


class _RecordingEnded(_OfACall):
    recording: Annotated[RecordingRow, Field(description="The recording whose end this tells")]
    reason: Annotated[Literal["recording"], Field(description="Why there is this event")]


class RecordingStored(_RecordingEnded):
    """The audio of a recording is in the object store."""


class RecordingFailed(_RecordingEnded):
    """A recording could not be fetched, for good."""


class CallProgress(TypedDict):
    """A live event of a call, at once."""

    event: Annotated[TimelineRow, Field(description="The event, as it stands in the timeline of the record")]
    repaired: NotRequired[_Repaired]


class CallDecided(TypedDict):
    """A platform asked what to do with a call, and was answered."""

    decision: Annotated[DecisionRow, Field(description="The answer")]


class SmsNotified(TypedDict):
    """An SMS."""

    sms: Annotated[SmsRecord, Field(description="The whole record of this revision")]


class NumberChanged(TypedDict):
    """The state of a private number."""

    raw: _Raw
    number: Annotated[str | None, Field(description="The number, in E.164; null where the state names none")]
    repaired: NotRequired[_Repaired]


class PlatformNotified(TypedDict):
    """Whatever else a platform tells."""

    raw: _Raw
    repaired: NotRequired[_Repaired]


class SinkTest(TypedDict):
    """An operator tried a sink: sent to that sink alone."""

    test: Annotated[bool, Field(description="Always true")]
    sink: Annotated[str, Field(description="The name of the sink")]
    example: NotRequired[Annotated[dict[str, Any], Field(description="A whole event, of a made-up call")]]


SHAPES: Final[Mapping[str, type]] = {
    "call.completed": CallCompleted,
    "call.incomplete": CallIncomplete,
    "call.amended": CallAmended,
    "recording.stored": RecordingStored,
    "recording.failed": RecordingFailed,
    "call.progress": CallProgress,
    "call.decided": CallDecided,
    "sms.notified": SmsNotified,
    "number.changed": NumberChanged,
    "platform.notified": PlatformNotified,
    TEST: SinkTest,
}
WITH_REVISION: Final = frozenset(
    {"call.completed", "call.incomplete", "call.amended", "recording.stored", "recording.failed", "sms.notified"}
)

# With which minor a field came that is there in every event since. What was stored before goes out as it was stored, so
# a schema may not require it; "" is the event itself. `time` came to those types that had none.
SINCE: Final[Mapping[str, Mapping[str, int]]] = {
    "": {"dataschema": 1},
    "CallRecord": {"at": 1, "received_at": 1, "repaired": 1},
    "CdrRow": {"billed_minutes": 1},
    "RecordingRow": {"name": 1, "media_type": 1},
    "SmsRecord": {"repaired": 1},
    "NumberChanged": {"number": 1},
}
TIMELESS_BEFORE: Final = frozenset({"call.progress", "number.changed", "platform.notified"})  # 1.1
