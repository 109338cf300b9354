"""States of X numbers as facts: docs/protocols/huawei-privatenumber.md section 5."""

from __future__ import annotations

from typing import Any

from schemas.dialect.fields import digits, listed
from schemas.dialect.items import latest_number_state
from schemas.envelope import JsonObject
from schemas.errors import Malformed
from schemas.facts import Parsed
from schemas.platforms.huawei.pushes import MAX_RECORDS


def states(body: JsonObject) -> list[Any]:
    """The bodies of one state each that a push of several is: `numInfo` holds one number.

    Raises:
        Malformed: long_num_info.
    """
    numbers = listed(body.get("numInfo"))
    if len(numbers) > MAX_RECORDS:
        raise Malformed("long_num_info", f"{len(numbers)} numbers")
    return [{**body, "numInfo": [number]} for number in numbers] or [body]


def number_state(body: JsonObject) -> Parsed:
    """The state of one number; it has no time, so what repeats it is what equals the latest.

    Raises:
        Malformed: no_number.
    """
    (info,) = listed(body.get("numInfo")) or [body]
    number = digits(info, "number") if isinstance(info, dict) else None
    if number is None:
        raise Malformed("no_number")
    return latest_number_state(body, number=number)
