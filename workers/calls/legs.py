"""Which leg an event is of, and what it proves beside a CDR (docs/contract.md section 1): on conflict the CDR is right.

An event that cannot be tied to the callee's leg proves no answer once there is a CDR: it may be of the caller's leg.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from schemas.fact_json import CallJson, CdrJson, EventJson, LegJson
from schemas.numbers import same_number
from schemas.vocabulary import TimelineType
from workers.calls.measures import was_answered

_CALLEES: Final = "b"  # the leg to who was called, where a call has two
_LegTime = Literal["started_at", "ringing_at", "answered_at"]
_TIMES: Final[Mapping[TimelineType, _LegTime]] = {
    "outgoing": "started_at", "ringing": "ringing_at", "answered": "answered_at",
}  # fmt: skip
_Proof = Literal["ringing_at", "answered_at"]
_PROOFS: Final[Mapping[TimelineType, _Proof]] = {"ringing": "ringing_at", "answered": "answered_at"}


def on_legs(events: list[EventJson], cdrs: Sequence[CdrJson]) -> list[EventJson]:
    """The events, each on its leg, where only a CDR can name that: by the number it calls, else by its moment."""
    legs = [leg for cdr in cdrs for leg in cdr.get("legs", ())]
    if not legs:
        return events
    return [
        {**event, "leg": _leg_of(event, legs)} if event.get("leg") is None and event["type"] in _TIMES else event
        for event in events
    ]


def _leg_of(event: EventJson, legs: Sequence[LegJson]) -> str | None:
    """By moment only where exactly one leg has it, and its number is not another one."""
    called, at = event.get("callee"), event.get("at")
    for leg in legs:
        if same_number(called, leg.get("number")):
            return leg["name"]
    if at is None:
        return None
    time = _TIMES[event["type"]]
    names = {leg["name"] for leg in legs if leg.get(time) == at and not (called and leg.get("number"))}
    return names.pop() if len(names) == 1 else None


def shows_answer(event: EventJson, whole: CallJson, cdrs: Sequence[CdrJson]) -> bool:
    """Whether this event shows that the call was answered.

    Without a CDR: of a call with two legs the caller answers too, before anybody else is called; that answers no call.
    """
    if event["type"] != "answered":
        return False
    if not cdrs:
        callee = event.get("callee")
        return callee is None or not same_number(callee, whole.get("caller"))
    return any(not _denies_answer(cdr["call"]) and _is_of_callee(event, cdr) for cdr in cdrs)


def told_beside(event: EventJson, cdrs: Sequence[CdrJson]) -> CallJson:
    """What an event tells of the call as a whole: without the moment of what it does not prove."""
    call, proof = event["call"], _PROOFS.get(event["type"])
    if not cdrs or proof is None or proof not in call or proof in cdrs[0]["call"]:
        return call
    if shows_answer(event, {}, cdrs) if proof == "answered_at" else any(_is_of_callee(event, cdr) for cdr in cdrs):
        return call
    told = call.copy()
    del told[proof]
    return told


def _is_of_callee(event: EventJson, cdr: CdrJson) -> bool:
    leg = event.get("leg")
    if leg is not None or cdr.get("legs"):
        return leg == _CALLEES
    return same_number(event.get("callee"), cdr["call"].get("callee"))


def _denies_answer(call: CallJson) -> bool:
    """Whether this CDR itself says that nobody answered: by no duration or by a code, not by its silence."""
    if was_answered(call):
        return False
    return call.get("talk_seconds") == 0 or any(code.get("outcome") for code in call.get("codes", ()))
