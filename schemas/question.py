"""Questions that a platform asks while a caller or an SMS waits, and what is decided (docs/contract.md section 3)."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from schemas.vocabulary import Action, AskedKind

QUESTION_BYTES: Final = 16 * 1024  # of a push that may ask something; the largest documented one has some 2 KB
GOING: Final = frozenset({"connect", "route"})  # the actions that need somebody to go to


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Asked(_Row):
    """What a dialect reads from a push that waits for a decision; numbers in E.164.

    `key` and `fingerprint` are those of the fact that `parse` makes of the same push.
    """

    kind: AskedKind
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
    kind: AskedKind
    call_id: str
    caller: str | None
    number: str | None
    extension: str | None
    text: str | None
    asked_at: str
    deadline_ms: int


class Decision(_Row):
    """The answer: connect or close a call, route or discard an SMS.

    `callee` is the real number to connect or route to; no platform takes more than 64 characters. `tones` are the
    platform's own announcements by the platform's own field name.
    """

    action: Action
    callee: Annotated[str, Field(max_length=64)] | None = None
    record: bool | None = None
    tones: dict[str, str] | None = None
    max_minutes: Annotated[int, Field(ge=0, le=1440)] | None = None
    user_data: Annotated[str, Field(max_length=256)] | None = None


def _ours(by: Any) -> Any:
    """What a service of somebody else's calls itself is its own affair: it must not cost the answer."""
    return by if by in ("rule", "default") else None


class Answer(Decision):
    """A reply on `callstitch.decisions.v1`; `by` is for our own `decide`, and a service leaves it out.

    It may hold more than we know, which is ignored.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    by: Annotated[Literal["rule", "default"] | None, BeforeValidator(_ours)] = None


def fits(kind: AskedKind, decision: Decision) -> bool:
    """Whether a decision can answer a question of this kind."""
    return decision.action in (("connect", "close") if kind == "call" else ("route", "discard"))


def goes_somewhere(decision: Decision) -> bool:
    """Whether it names where to connect or route to; at Aliyun `user_data` may be the id of a binding that does."""
    return bool(decision.callee or decision.user_data)


def refusal(kind: AskedKind) -> Decision:
    """A call is closed, an SMS discarded: what every platform can be told."""
    return Decision(action="close" if kind == "call" else "discard")


def decision_without_answer(kind: AskedKind, default: Decision | None) -> Decision:
    """The source's default where it fits, else the refusal (docs/contract.md section 3)."""
    return default if default is not None and fits(kind, default) else refusal(kind)
