"""PrivateNumber's result codes: their texts, and the outcomes they mean.

Source: docs/protocols/huawei-reason-codes.md tables A, B and F; docs/contract.md section 1.

The lists grow and their tails were not seen: a code that stands in neither is passed on with no text and no outcome,
so that the next code may decide; where none does, the call's outcome is `unknown`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from schemas.dialect.codes import code, read_once
from schemas.dialect.fields import as_integer
from schemas.facts import Code
from schemas.vocabulary import Outcome, SmsStatus

SKIPPED: Final = frozenset({0, 518})  # 0 is no failure; 518 says: see Q.850

# What stands in A and B under one name. The tail of B was cut off: 8102 to 8105 are as in A [inferred].
_SHARED: Final[Mapping[int, str]] = {
    522: "platform voice ports exhausted",
    7001: "rate control of the developer",
    7002: "rate control of the app",
    7003: "rate control of the display number",
    7004: "callee is on the blacklist",
    7005: "caller is on the blacklist",
    7100: "app unknown",
    7101: "app has no privacy number",
    7102: "platform internal error",
    7105: "wrong business type",
    7106: "app lacks the privacy-number ability",
    7107: "control prompt failed",
    7108: "account frozen",
    7109: "tenant voice ports exhausted",
    7500: "number prefix barred",
    7501: "caller left before ringing",
    7502: "caller left while ringing",
    7504: "call refused (rejected, do-not-disturb, blacklist or guard app)",
    7507: "no voice file",
    7516: "caller left before forwarding",
    8006: "no voice file (X mode)",
    8007: "last-minute tone failed",
    8008: "prompt-and-collect failed",
    8010: "maximum duration reached",
    8011: "platform internal error",
    8013: "AX bound but no temporary callee",
    8014: "no AXB or X binding, or bad number format",
    8015: "recording failed",
    8016: "call direction not allowed",
    8018: "no permission",
    8019: "no callback record",
    8020: "business exception",
    8022: "binding missing or expired",
    8023: "fixed line not allowed as caller",
    8024: "display of the real caller not allowed",
    8025: "X does not exist",
    8033: "empty extension received",
    8041: "recording failed",
    8042: "international incoming calls barred",
    8043: "international outgoing calls barred",
    8044: "call duration anomaly control",
    8046: "answer rate anomaly control",
    8047: "rate control of the caller",
    8048: "rate control of the callee",
    8049: "rate control of the service number",
    8050: "suspended at this time of day",
    8051: "sub-enterprise suspended",
    8055: "X is unusable",
    8056: "test number control",
    8057: "direction control",
    8100: "callee number not in service",
    8101: "rang, no answer",
    8102: "callee busy",
    8103: "callee out of coverage",
    8104: "callee powered off",
    8105: "callee suspended",
}

STATE_TEXTS: Final[Mapping[int, str]] = {
    **_SHARED,
    0: "hung up after answer",
    7503: "callee rejected",
    8030: "AXYB binding missing",
    8031: "AXYB: allocation of Y failed",
    8032: "AXYB: user dialled their own privacy number",
    8035: "platform connect timeout",
}

FAIL_TEXTS: Final[Mapping[int, str]] = {
    **_SHARED,
    0: "no failure",
    7103: "caller information missing",
    7104: "AX binding missing",
    7503: "callee hung up",
    7505: "caller-side network failure",
    7506: "callee-side network failure",
    7508: "routing failed",
    8002: "failure tone from the far end",
    8003: "ring timeout",
    8004: "hung up while ringing",
    8005: "text-to-speech failed",
    8009: "caller left before answer",
    8012: "bad app key",
    8035: "no answer, ring timeout",
    8040: "platform internal error",
    8058: "worker's name not verified",
    8059: "blocked by the carrier",
}

# Table F, sendResult: what became of an SMS.
SEND_TEXTS: Final[Mapping[int, str]] = {
    0: "sent",
    1: "account frozen",
    2: "no binding",
    3: "X is suspended",
    4: "app not in commercial use",
    5: "platform internal error",
    6: "discarded as decided",
    7: "discarded, no decision came in time",
    8: "blacklist",
    9: "sent in part",
    10: "no part was sent",
    11: "X has no SMS ability",
    12: "content lacks a required keyword",
}

_INTERCEPTED: Final = frozenset({6, 8, 12})  # somebody's rule stopped it; the rest failed, 7 for want of a decision

_OUTCOME_CODES: Final[Mapping[Outcome, Iterable[int]]] = {
    "busy": (8102,),
    "no_answer": (8101, 8003, 8035),
    "rejected": (7503, 7504),
    "unreachable": (8100, *range(8103, 8106)),
    "cancelled": (7501, 7502, 7516, 8004, 8009),
    "blocked": (
        *range(7001, 7006), 7108, 7500, 8013, 8014, 8016, 8018, 8019, *range(8022, 8026), 8030, 8032, 8033,
        *range(8042, 8052), *range(8055, 8060),
    ),
}  # fmt: skip

_OUTCOMES: Final[Mapping[int, Outcome]] = {
    number: name for name, numbers in _OUTCOME_CODES.items() for number in numbers
}

# The call ended with X: no binding, no extension, or the caller left. Nobody was called, so nobody is the callee.
NEVER_FORWARDED: Final = frozenset({7516, 8013, 8014, 8016, 8019, 8022, 8025, 8030, 8031, 8032, 8033})


def outcome(number: int) -> Outcome | None:
    """What a state or fail code says of the call: a listed code without a meaning of its own is `failed`.

    None for 0 and 518, which decide nothing, and for a code in no list.
    """
    if number in SKIPPED:
        return None
    listed = number in STATE_TEXTS or number in FAIL_TEXTS
    return _OUTCOMES.get(number) or ("failed" if listed else None)


def state_code(value: Any, description: str | None) -> Code | None:
    """`stateCode` of a disconnect event; an unknown one is told in the platform's own words, `stateDesc`."""
    return code("state_code", value, texts=STATE_TEXTS, outcome=outcome, own_text=description)


@read_once
def fail_code(value: Any) -> Code | None:
    """`ulFailReason` of a CDR."""
    return code("fail_code", value, texts=FAIL_TEXTS, outcome=outcome)


def send_result(value: Any) -> Code | None:
    """`sendResult` of an SMS; it says nothing of a call, so it decides no outcome."""
    return code("send_result", value, texts=SEND_TEXTS, outcome=lambda _: None)


def sms_status(value: Any) -> SmsStatus | None:
    """`delivered`, `intercepted` or `failed` (so is an SMS that was sent in part); None for a code in no list."""
    number = as_integer(value)
    if number not in SEND_TEXTS:
        return None
    if number in _INTERCEPTED:
        return "intercepted"
    return "failed" if number else "delivered"
