"""Jiuyun's byeType: texts of docs/protocols/jiuyun-axb.md section 3, outcomes of docs/contract.md section 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from schemas.dialect.codes import code
from schemas.facts import Code
from schemas.vocabulary import Outcome

BYE_TEXTS: Final[Mapping[int, str]] = {
    0: "normal",
    1: "A unreachable",
    2: "B unreachable",
    3: "A busy",
    4: "B busy",
    5: "maximum duration reached",
    6: "server error",
    7: "network error",
    255: "other",
}

_OUTCOMES: Final[Mapping[int, Outcome]] = {
    1: "unreachable",
    2: "unreachable",
    3: "busy",
    4: "busy",
    6: "failed",
    7: "failed",
    255: "unknown",
}


def bye_code(value: Any, *, talk_seconds: int | None) -> Code | None:
    """`byeType`; 0 means `no_answer` only together with a duration of 0, and 5 and unlisted ones decide nothing."""

    def outcome(number: int) -> Outcome | None:
        if number == 0 and talk_seconds == 0:
            return "no_answer"
        return _OUTCOMES.get(number)

    return code("state_code", value, texts=BYE_TEXTS, outcome=outcome)


def upstream_code(value: Any) -> Code | None:
    """`byeType` of type 10, which is the upstream carrier's release cause and in no table we have (section 4)."""
    return code("state_code", value, texts={}, outcome=lambda _: None)
