"""Questions that a platform asks while a caller or an SMS waits, and what is decided (contract section 3)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Asked(_Row):
    """What a dialect reads from a push that waits for a decision; numbers in E.164.

    `key` and `fingerprint` are those of the fact that `parse` makes of the same push.
    """

    kind: Literal["call", "sms"]
    session_id: str
    key: str
    fingerprint: str
    caller: str | None = None
    number: str | None = None
    extension: str | None = None
    text: str | None = None


class Question(_Row):
    """One line of `callstitch.decisions.v1`; `call_id` is the record's id, `asked_at` RFC 3339 in UTC."""

    id: str
    source: str
    platform: str
    kind: Literal["call", "sms"]
    call_id: str
    caller: str | None
    number: str | None
    extension: str | None
    text: str | None
    asked_at: str
    deadline_ms: int


class Decision(_Row):
    """The answer: connect or close a call, route or discard an SMS.

    `callee` is the real number to connect or route to. `tones` are the platform's own announcements by the platform's
    own field name.
    """

    action: Literal["connect", "close", "route", "discard"]
    callee: str | None = None
    record: bool | None = None
    tones: dict[str, str] | None = None
    max_minutes: Annotated[int, Field(ge=0, le=1440)] | None = None
    user_data: Annotated[str, Field(max_length=256)] | None = None


class Answer(Decision):
    """A reply on `callstitch.decisions.v1`; a service of somebody else's leaves `by` out.

    It may hold more than we know, which is ignored.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    by: Literal["rule", "default"] | None = None


def fits(kind: str, decision: Decision) -> bool:
    """Whether a decision can answer a question of this kind."""
    return decision.action in (("connect", "close") if kind == "call" else ("route", "discard"))


def decision_without_answer(kind: str, default: Decision | None) -> Decision:
    """The source's default where it fits; else a call is closed and an SMS discarded (contract section 3)."""
    if default is not None and fits(kind, default):
        return default
    return Decision(action="close" if kind == "call" else "discard")
