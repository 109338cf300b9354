"""The closed sets of words of docs/contract.md section 1, as mypy and the published JSON Schemas know them.

A word is only ever added here, never renamed: it stands in events that others read.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

TimelineType = Literal["incoming", "outgoing", "ringing", "answered", "ended", "digits", "decided"]
TIMELINE_TYPES: Final[tuple[TimelineType, ...]] = get_args(TimelineType)  # the order of what happened at one moment

Missing = Literal[TimelineType, "cdr"]  # what must have been and has not come

CodeName = Literal["state_code", "fail_code", "q850", "sip"]
CODE_NAMES: Final[tuple[CodeName, ...]] = get_args(CodeName)  # the order in which they decide an outcome

Outcome = Literal[
    "answered", "no_answer", "busy", "rejected", "unreachable", "cancelled", "blocked", "failed", "unknown"
]
Product = Literal["privatenumber", "callback", "notify", "verify", "pnp", "axb"]
Mode = Literal["AX", "AXB", "AXE", "AXYB", "X"]  # which numbers a binding ties together
Direction = Literal["a_to_b", "b_to_a", "abnormal"]

Billing = Literal["minute", "6s", "second"]  # what a call is billed in: each that has begun counts

RecordingEnd = Literal["stored", "failed"]
MediaType = Literal["audio/wav", "audio/mpeg", "audio/amr", "audio/ogg"]
RecordingState = Literal["wanted", "stored", "failed"]

AskedKind = Literal["call", "sms"]  # what a platform asks about
Action = Literal["connect", "close", "route", "discard"]
DecidedBy = Literal["rule", "service", "default"]

SmsMode = Literal["block", "notify"]  # a push that asks what to do with an SMS, and one that says what became of it
SmsStatus = Literal["delivered", "failed", "intercepted"]

# What was mended while an item was read: bytes that are no UTF-8, an entity that XML does not know, text joined without
# escaping, a character that no store takes; and what was left out.
Repair = Literal["encoding", "entity", "ampersand", "character", "cut"]

ChangeReason = Literal["cdr_amended", "cdr_added", "event", "decision"]  # why a record was amended
