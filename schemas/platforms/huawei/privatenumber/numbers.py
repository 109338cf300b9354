"""States of X numbers as facts: docs/protocols/huawei-privatenumber.md section 5."""

from __future__ import annotations

from typing import Any

from schemas.dialect.fields import digits, listed, phone
from schemas.dialect.items import latest_number_state
from schemas.envelope import JsonObject
from schemas.errors import Malformed
from schemas.facts import Parsed
from schemas.platforms.huawei.pushes import MAX_RECORDS


def states(body: JsonObject) -> list[Any]:
    """The bodies of one state each that a push is: `numInfo` holds one number.

    What else a push of several holds is of none of them: with each it would make many times its bytes.

    Raises:
        Malformed: long_num_info.
    """
    numbers = listed(body.get("numInfo"))
    if len(numbers) > MAX_RECORDS:
        raise Malformed("long_num_info", f"{len(numbers)} numbers")
    if len(numbers) == 1:
        return [{**body, "numInfo": numbers}]
    return [body] if not numbers else [{"eventType": body["eventType"], "numInfo": [number]} for number in numbers]


def number_state(body: JsonObject) -> Parsed:
    """The state of one number; it has no time, so what repeats it is what equals the latest, told alone or with others.

    Raises:
        Malformed: no_number.
    """
    info = _info(body)
    number = digits(info, "number") if isinstance(info, dict) else None
    if number is None:
        raise Malformed("no_number")
    return latest_number_state(body, number=number, state=info)


def number_of(body: JsonObject) -> str | None:
    """The number whose state that is, in E.164."""
    info = _info(body)
    return phone(info, "number") if isinstance(info, dict) else None


def _info(body: JsonObject) -> Any:
    return (listed(body.get("numInfo")) or [body])[0]
