"""The call record: one trustworthy account of one call, as data (docs/contract.md section 1)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Reason(_Row):
    """The platform's codes as sent, and what the deciding one means."""

    state_code: int | str | None = None
    fail_code: int | str | None = None
    q850: int | str | None = None
    sip: int | str | None = None
    text: str | None = None


class LegRow(_Row):
    """One side's connection."""

    name: str
    number: str | None = None
    started_at: datetime | None = None
    ringing_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None


class CdrRow(_Row):
    """One CDR of the call: bill these, not the top line."""

    record_id: str
    product: str | None
    mode: str | None
    direction: str | None
    caller: str | None
    callee: str | None
    private_number: str | None
    display_number: str | None
    extension: str | None
    binding_id: str | None
    user_data: str | None
    called_in_at: datetime | None
    started_at: datetime | None
    ringing_at: datetime | None
    answered_at: datetime | None
    ended_at: datetime | None
    ring_seconds: int | float | None
    talk_seconds: int | float | None
    answered: bool
    outcome: str
    reason: Reason
    raw: dict[str, Any]


class TimelineRow(_Row):
    """One live call event."""

    type: str
    platform_type: str
    at: datetime | None
    leg: str | None
    caller: str | None
    callee: str | None
    raw: dict[str, Any]


class RecordingRow(_Row):
    """One announced recording and how its fetch stands: wanted, stored or failed."""

    key: str
    state: str
    place: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    seconds: float | None = None
    format: str | None = None
    reason: str | None = None


class DecisionRow(_Row):
    """What was decided when the platform asked; `by` is rule, service or default."""

    action: str
    callee: str | None
    by: str
    milliseconds: int


class CallRecord(_Row):
    """`data.call` of every event about a call; absent is null, times are UTC, durations are seconds."""

    id: str
    source: str
    session_id: str
    platform: str
    product: str | None
    mode: str | None
    direction: str | None
    caller: str | None
    callee: str | None
    private_number: str | None
    display_number: str | None
    extension: str | None
    binding_id: str | None
    user_data: str | None
    called_in_at: datetime | None
    started_at: datetime | None
    ringing_at: datetime | None
    answered_at: datetime | None
    ended_at: datetime | None
    ring_seconds: int | float | None
    talk_seconds: int | float | None
    answered: bool
    outcome: str
    reason: Reason
    legs: list[LegRow]
    cdrs: list[CdrRow]
    timeline: list[TimelineRow]
    recordings: list[RecordingRow]
    decision: DecisionRow | None
    revision: int
    complete: bool
    missing: list[str]
    late: bool


class SmsCode(_Row):
    """The platform's result code as sent, and what it means."""

    name: str
    value: int | str
    outcome: str | None
    text: str | None


class SmsRecord(_Row):
    """`data.sms` of `sms.notified`: sender and receiver are the REAL parties, `raw` by mode as the platform sent it."""

    id: str
    source: str
    platform: str
    identifier: str
    direction: str | None
    sender: str | None
    receiver: str | None
    private_number: str | None
    binding_id: str | None
    user_data: str | None
    text: str | None
    parts: int | None
    sent_at: datetime | None
    status: str | None
    code: SmsCode | None
    decision: DecisionRow | None
    revision: int
    raw: dict[str, Any]
