"""What is said of a call as a whole, and what follows from its times and codes (docs/contract.md section 1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from math import ceil
from typing import Any, Final

from schemas.fact_json import CallJson, CodeJson
from schemas.record import CALL_PART, CallPart, Measures
from schemas.vocabulary import CODE_NAMES, Billing, Outcome

_UNIT_SECONDS: Final[Mapping[Billing, int]] = {"minute": 60, "6s": 6, "second": 1}


def call_part(call: CallJson) -> CallPart:
    """Every field, null where nothing was reported."""
    part: Any = {name: call.get(name) for name in CALL_PART}
    return part  # type: ignore[no-any-return]


def known_moment(part: CallPart) -> str | None:
    """The best known moment of a call: the earliest thing in its course that has a time."""
    return part["called_in_at"] or part["started_at"] or part["ringing_at"] or part["answered_at"] or part["ended_at"]


def billed_minutes(talked: float | None, billing: Billing) -> float | None:
    """What was talked in minutes, each unit of `billing` that began counted whole, as platforms bill."""
    if talked is None:
        return None
    unit = _UNIT_SECONDS[billing]
    minutes = ceil(talked / unit) * unit / 60
    return int(minutes) if minutes.is_integer() else round(minutes, 6)


def measures_of(call: CallJson, talked: float | None, *, answered: bool, codes: Iterable[CodeJson]) -> Measures:
    """Durations in seconds, and how it ended; `talked`: the platform's own figure, which beats its times.

    That nobody talked is known by that figure or by a code that says how it ended; else it is null, as nobody knows.
    Codes decide in the order of CODE_NAMES, of each name the first that was reported.
    """
    ended, picked_up = call.get("ended_at"), call.get("answered_at")
    if talked is None:
        talked = _seconds(picked_up, ended)
    first: dict[str, CodeJson] = {}
    for code in codes:
        first.setdefault(code["name"], code)
    firsts = [first[name] for name in CODE_NAMES if name in first]
    deciding = next((code for code in firsts if code.get("outcome")), firsts[0] if firsts else None)
    outcome: Outcome = "answered" if answered else (deciding and deciding.get("outcome")) or "unknown"
    surely_not = talked == 0 or outcome != "unknown"
    values = {code["name"]: code["value"] for code in firsts}
    return {
        "ring_seconds": _seconds(call.get("ringing_at"), picked_up or ended),
        "talk_seconds": talked if answered else 0 if surely_not else None,
        "answered": answered,
        "outcome": outcome,
        "reason": {
            "state_code": values.get("state_code"),
            "fail_code": values.get("fail_code"),
            "q850": values.get("q850"),
            "sip": values.get("sip"),
            "text": deciding.get("text") if deciding else None,
        },
    }


def was_answered(call: CallJson) -> bool:
    """Whether its times or the platform's own figure show an answer."""
    return "answered_at" in call or bool(call.get("talk_seconds"))


def _seconds(start: str | None, end: str | None) -> int | float | None:
    """Never negative: handset and platform clocks differ."""
    if start is None or end is None:
        return None
    between = datetime.fromisoformat(end) - datetime.fromisoformat(start)
    seconds = max(between.total_seconds(), 0.0)
    return int(seconds) if seconds.is_integer() else seconds
