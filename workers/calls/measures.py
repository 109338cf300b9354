"""What is said of a call as a whole, and what follows from its times and codes (docs/contract.md section 1)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from schemas.fact_json import CallJson, CodeJson
from schemas.record import CALL_PART, CallPart, Measures
from schemas.vocabulary import CODE_NAMES


def call_part(call: CallJson) -> CallPart:
    """Every field, null where nothing was reported."""
    part: Any = {name: call.get(name) for name in CALL_PART}
    return part  # type: ignore[no-any-return]


def measures_of(call: CallJson, talked: float | None, *, answered: bool, codes: Iterable[CodeJson]) -> Measures:
    """Durations in seconds, and how it ended; `talked`: the platform's own figure, which beats its times.

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
    values = {code["name"]: code["value"] for code in firsts}
    return {
        "ring_seconds": _seconds(call.get("ringing_at"), picked_up or ended),
        "talk_seconds": talked if answered else 0,
        "answered": answered,
        "outcome": "answered" if answered else (deciding and deciding.get("outcome")) or "unknown",
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
