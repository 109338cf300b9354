"""What one platform does in a play: its posts, its manners, and how it judges what the door says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from console.emulator.push import Content, Item, Kind, Push

OK = 200


@dataclass(frozen=True, kw_only=True)
class Request:
    """One attempt of a post as it goes out."""

    url: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What the door said to one attempt."""

    status: int
    content_type: str
    body: bytes


def _unsigned(request: Request, push: Push, nonce: str, created: datetime) -> Request:  # noqa: ARG001 - as all
    return request


def _deaf(push: Push, heard: Heard | None) -> None:
    """Nothing that the door says changes what comes next."""


def _as_planned(push: Push) -> Push:
    return push


@dataclass(frozen=True, kw_only=True)
class Act:
    """One platform's part, pure but for what it hears.

    `repush_minutes`: when an item of a kind is pushed again, counted from the first failure. `sign` dresses an
    attempt. `faults` says what is wrong with an answer of 200. `hear` takes the answer to a question, None when there
    was none; `as_it_went` is then the post as that answer makes it, None when there is nothing left to tell.
    `expect` is what the record must say, from a call's accepted items. `sought` finds the record of a call whose
    session id is not the platform's.
    """

    sessions: Mapping[int, str]  # session ids by call number
    pushes: Sequence[Push]
    repush_minutes: Mapping[Kind, tuple[int, ...]]
    reply_seconds: float
    answer_seconds: float  # what a question may take before the platform's caller notices
    expect: Callable[[int, Sequence[Item]], Content]
    faults: Callable[[Push, Heard], Sequence[str]]
    sign: Callable[[Request, Push, str, datetime], Request] = _unsigned
    hear: Callable[[Push, Heard | None], None] = _deaf
    as_it_went: Callable[[Push], Push | None] = _as_planned
    sought: Mapping[int, Content] = field(default_factory=dict)
    messages: Mapping[int, str] = field(default_factory=dict)  # identifiers by number; empty for what is no SMS
