"""What tells PrivateNumber's pushes apart, and how its directions and waiting modes are spelled.

Source: docs/protocols/huawei-privatenumber.md sections 0, 1, 3, 4 and 5, docs/protocols/huawei-reason-codes.md table F.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from schemas.dialect.fields import alone
from schemas.envelope import JsonObject
from schemas.platforms.huawei.pushes import EVENT_TYPES, event_type_of, holds_cdrs
from schemas.vocabulary import Direction

Shape = Literal["call_event", "cdr", "sms", "number_state", "other"]

# Table F: "0 to A, 1 from A, 2 abnormal", for CDRs and SMS of all modes; an SMS of X always says 1.
DIRECTIONS: Final[Mapping[int | None, Direction]] = {0: "b_to_a", 1: "a_to_b", 2: "abnormal"}

_NUMBER_STATE: Final = "numstatus"  # section 5


def shape_of(body: JsonObject) -> Shape:
    """Which push this is; what has no mark of its own is nothing that we know, and told as that."""
    event_type = event_type_of(body)
    if event_type in EVENT_TYPES:
        return "call_event"
    if holds_cdrs(body):
        return "cdr"
    if "smsEvent" in body:
        return "sms"
    return "number_state" if event_type == _NUMBER_STATE else "other"


def waits(mode: Any) -> bool:
    """Whether `notifyMode` or `notificationMode` says Block; the vendor's demos compare it ignoring case."""
    return isinstance(mode, str) and mode.strip().lower() == "block"


def asks_of_call(body: JsonObject) -> bool:
    """Whether it is a callin that waits for an answer."""
    info = alone(body.get("statusInfo"))
    return info is not None and waits(info.get("notifyMode")) and event_type_of(body) == "callin"
