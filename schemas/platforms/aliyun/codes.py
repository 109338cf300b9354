"""Aliyun's result codes: docs/protocols/aliyun-pnp.md section 4.1, outcomes of docs/contract.md section 1.

`unconnected_cause` comes first (1 to 3 are blocked), then `release_cause`, which is like Q.850 with meanings of its
own: those stand here, the rest of the text is Q.850's. Where Aliyun's meaning adds an outcome that Q.850 does not
have, it is [inferred] from its words. Codes in no list pass on without text and outcome.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from schemas.dialect.codes import code
from schemas.dialect.q850 import Q850_TEXTS, q850_outcome
from schemas.envelope import JsonObject
from schemas.facts import Code
from schemas.vocabulary import Outcome

SMS_CDR: Final = 9999  # as release_cause

UNCONNECTED_TEXTS: Final[Mapping[int, str]] = {
    0: "normal",
    1: "blacklist",
    2: "no binding",
    3: "call limit",
    4: "other",
}
RELEASE_TEXTS: Final[Mapping[int, str]] = {
    **Q850_TEXTS,
    1: "vacant number",
    2: "no route",
    3: "no route",
    4: "special tone (busy, suspended or other)",
    5: "prefix error",
    6: "channel error",
    7: "rang, then rejected",
    8: "pre-empted (busy)",
    9: "pre-empted (busy)",
    16: "normal hang-up",
    17: "busy",
    18: "no answer",
    19: "no answer",
    20: "unreachable",
    21: "not connected",
    22: "number changed or forwarded",
    23: "redirected",
    24: "temporarily unreachable",
    25: "exchange error",
    26: "call barring",
    27: "destination faulty",
    28: "bad number format",
    29: "supplementary service",
    30: "status query failed",
    31: "normal, unspecified",
    32: "temporarily unreachable",
    33: "callee hung up",
    34: "no circuit",
    35: "callee hung up",
    37: "callee hung up",
    38: "network failure",
    SMS_CDR: "SMS record",
}

_BLOCKED: Final = frozenset({1, 2, 3})
_OWN_OUTCOMES: Final[Mapping[int, Outcome]] = {
    7: "rejected",
    8: "busy",
    9: "busy",
    24: "unreachable",
    26: "blocked",
    32: "unreachable",
    33: "rejected",
    35: "rejected",
    37: "rejected",
}


def call_codes(row: JsonObject) -> tuple[Code, ...]:
    """`unconnected_cause` as fail code and `release_cause` as Q.850 cause, as far as they are sent."""
    found = (unconnected_code(row), _release_code(row))
    return tuple(one for one in found if one is not None)


def unconnected_code(row: JsonObject) -> Code | None:
    """Why the platform itself did not connect; 0 and 4 decide nothing."""
    return code("fail_code", row.get("unconnected_cause"), texts=UNCONNECTED_TEXTS, outcome=_unconnected_outcome)


def _release_code(row: JsonObject) -> Code | None:
    return code("q850", row.get("release_cause"), texts=RELEASE_TEXTS, outcome=_release_outcome)


def _unconnected_outcome(cause: int) -> Outcome | None:
    return "blocked" if cause in _BLOCKED else None


def _release_outcome(cause: int) -> Outcome | None:
    return q850_outcome(cause) or _OWN_OUTCOMES.get(cause)
