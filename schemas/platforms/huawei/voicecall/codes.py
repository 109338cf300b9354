"""VoiceCall's result codes: their texts, and the outcomes they mean.

Source: docs/protocols/huawei-reason-codes.md tables C (stateCode) and D (ulFailReason).

The contract gives VoiceCall no row of its own: outcomes follow PrivateNumber's row (docs/contract.md section 1) where
the meaning is the same, else the words of the tables. The lists grow and the tail of D was cut off, its 8xxx are read
as in C [inferred]: a code that stands in neither is passed on with no text and no outcome.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from schemas.dialect.codes import code
from schemas.dialect.q850 import SIP_TEXTS, sip_outcome
from schemas.facts import Code
from schemas.vocabulary import Outcome

# They say that a leg failed, or nothing at all; Q.850 or SIP says how. 8001 may be anything from rate control to busy.
UNDECIDED: Final = frozenset({0, 518, 519, 520, 521, 550, 551, 8001})

_RAW_SIP: Final = range(400, 700)  # in D where no Q.850 came; 501 to 553 are ambiguous and read as D's own

_SHARED: Final[Mapping[int, str]] = {
    7001: "rate control of the developer",
    7002: "rate control of the app",
    7003: "rate control of the fixed number",
    7004: "callee is on the blacklist",
    7108: "account frozen",
    7109: "tenant voice ports exhausted",
    8000: "platform internal error",
    8001: "not connected",
    8002: "failure tone from the far end",
    8003: "ring timeout",
    8004: "hung up while ringing",
    8005: "text-to-speech failed",
    8006: "voice file missing",
    8007: "playback failed",
    8008: "digit collection failed",
    8009: "caller left before connect",
    8010: "maximum duration reached",
    8012: "bad app key",
    8013: "AX bound but no temporary callee",
    8014: "no AXB or X binding, or bad number format",
    8015: "recording failed",
    8016: "call direction not allowed",
    8017: "customer ordered the hang-up",
    8018: "no permission",
    8019: "no callback record",
    8020: "business exception",
    8022: "binding missing or expired",
    8100: "callee number does not exist",
    8101: "callee did not answer",
    8102: "callee busy",
    8103: "callee unreachable",
    8104: "callee powered off",
    8105: "callee hung up or suspended",
    8106: "caller number does not exist",
    8107: "caller did not answer",
    8108: "caller busy",
    8109: "caller unreachable",
    8110: "caller powered off",
    8111: "caller suspended",
}

STATE_TEXTS: Final[Mapping[int, str]] = {**_SHARED, 0: "normal"}

FAIL_TEXTS: Final[Mapping[int, str]] = {
    **_SHARED,
    **dict.fromkeys(range(2801, 2872), "IVR or attendant ended the call"),
    **dict.fromkeys(range(2901, 2915), "recording failed"),
    0: "no failure",
    100: "no digits were keyed",
    501: "recording set-up: conference not created",
    502: "recording set-up: conference timed out",
    503: "recording set-up: caller did not join",
    504: "recording set-up: joining of the caller timed out",
    505: "recording set-up: recording endpoint failed",
    506: "recording set-up: recording endpoint timed out",
    507: "recording set-up: recording not started",
    508: "recording set-up: start timed out",
    509: "recording set-up: prompt failed",
    510: "recording set-up: prompt timed out",
    512: "switch released the call",
    513: "call timeout",
    514: "ring timeout",
    515: "far user cancelled",
    516: "near user cancelled",
    517: "platform response timeout",
    518: "far user failed",
    519: "near user failed",
    520: "near user failed",
    521: "torn down before the far end rang",
    522: "platform voice ports exhausted",
    524: "voice file missing",
    526: "mute failed",
    527: "unmute failed",
    528: "number prefix barred",
    529: "app key missing",
    530: "caller left before forwarding",
    539: "caller left during the recording set-up",
    540: "callee left during the recording set-up",
    541: "renegotiation failed",
    542: "recording timeout",
    550: "near ringing failed",
    551: "near leg of the click-to-call failed",
    552: "near user left while the far end rang",
    553: "near user left before the far end rang",
    1001: "agent hung up",
    1002: "user hung up",
    1003: "customer released the call",
    1004: "blind transfer",
    7005: "caller is on the blacklist",
    7100: "app unknown",
    7105: "wrong business type",
    7106: "app lacks the ability",
    7107: "control prompt failed",
}

_OUTCOME_CODES: Final[Mapping[Outcome, Iterable[int]]] = {
    "busy": (8102, 8108),
    "no_answer": (513, 514, 8003, 8101, 8107),
    "unreachable": (8100, *range(8103, 8107), *range(8109, 8112)),
    "cancelled": (515, 516, 530, 539, 540, 552, 553, 1001, 1002, 1003, 8004, 8009, 8017),
    "blocked": (528, *range(7001, 7006), 7108, 8013, 8014, 8016, 8018, 8019, 8022),
}

_OUTCOMES: Final[Mapping[int, Outcome]] = {
    number: name for name, numbers in _OUTCOME_CODES.items() for number in numbers
}


def outcome(number: int) -> Outcome | None:
    """What a state or fail code says of the call: a listed code without a meaning of its own is `failed`.

    None where it decides nothing, and for a code in no list.
    """
    if number in UNDECIDED:
        return None
    listed = number in STATE_TEXTS or number in FAIL_TEXTS
    return _OUTCOMES.get(number) or ("failed" if listed else None)


def state_code(value: Any, description: str | None) -> Code | None:
    """`stateCode` of a disconnect event; an unknown one is told in the platform's own words, `stateDesc`."""
    return code("state_code", value, texts=STATE_TEXTS, outcome=outcome, own_text=description)


def fail_code(value: Any) -> Code | None:
    """`ulFailReason` of a CDR; one that table D does not list may be a raw SIP status."""
    return code("fail_code", value, texts=_FAIL_OR_SIP_TEXTS, outcome=_fail_or_sip_outcome)


def _fail_or_sip_outcome(number: int) -> Outcome | None:
    return sip_outcome(number) if number in _RAW_SIP and number not in FAIL_TEXTS else outcome(number)


_FAIL_OR_SIP_TEXTS: Final[Mapping[int, str]] = {**SIP_TEXTS, **FAIL_TEXTS}
