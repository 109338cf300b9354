"""One event as one line: when, what, of which source, who with whom, and the id to ask `trace` for."""

from __future__ import annotations

from collections.abc import Iterator
from zoneinfo import ZoneInfo

from console.moments import shown
from schemas.envelope import JsonObject
from schemas.masking import mask_number, masked_id, numbers_in

_TYPE_WIDTH = 17
_SOURCE_WIDTH = 12
_HOW_WIDTH = 11
_SECONDS_WIDTH = 7


def short_type(event: JsonObject) -> str:
    """`call.completed` of `callstitch.call.completed.v1`."""
    return str(event["type"]).removeprefix("callstitch.").removesuffix(".v1")


def source_of(event: JsonObject) -> str:
    """The source's name."""
    return str(event["source"]).rpartition("/")[2]


def how_of(event: JsonObject) -> str:
    """How it ended, in one word: a call's outcome, an SMS's status, what was decided; empty where nothing is."""
    data = event["data"]
    found = [
        data.get("call", {}).get("outcome"),
        data.get("sms", {}).get("status"),
        data.get("decision", {}).get("action"),
        data.get("event", {}).get("type"),
    ]
    return next((str(word) for word in found if word), "")


def line_of(event: JsonObject, zone: ZoneInfo, *, show_numbers: bool) -> str:
    """The line; numbers are masked unless they are wanted, in the id too."""
    data = event["data"]
    call = data.get("call") or {}
    seconds = call.get("talk_seconds")
    head = "  ".join(
        [
            shown(event.get("time"), zone),
            f"{short_type(event):{_TYPE_WIDTH}}",
            f"{source_of(event):{_SOURCE_WIDTH}}",
            f"{how_of(event):{_HOW_WIDTH}}",
            f"{'' if seconds is None else f'{seconds:g} s':>{_SECONDS_WIDTH}}",
        ]
    )
    subject = str(event.get("subject", ""))
    who = _who(data, show_numbers=show_numbers)
    named = subject if show_numbers else masked_id(subject, numbers_in(data))
    return "  ".join(part for part in [head, who, ", ".join(_notes(data)), named] if part)


def _who(data: JsonObject, *, show_numbers: bool) -> str:
    of = data.get("call") or data.get("sms") or data.get("event") or {}
    parties = [of.get("caller") or of.get("sender"), of.get("callee") or of.get("receiver")]
    numbers = [str(one) if show_numbers else mask_number(str(one)) for one in parties if one]
    if not numbers and data.get("number"):
        numbers = [data["number"] if show_numbers else mask_number(data["number"])]
    return " > ".join(numbers)


def _notes(data: JsonObject) -> Iterator[str]:
    call = data.get("call")
    if not call:
        return
    yield f"revision {call['revision']}"
    if len(call["cdrs"]) != 1:
        yield f"{len(call['cdrs'])} CDRs"
    if call["missing"]:
        yield f"missing {' '.join(call['missing'])}"
    if call["late"]:
        yield "late"
    if recorded := [str(row["state"]) for row in call["recordings"]]:
        yield f"recording {' '.join(recorded)}"
