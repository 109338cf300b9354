"""Fields of a platform's item, read with tolerance: what is absent, empty or of another type is None.

Only ids and times (schemas.dialect.times) are strict, because a wrong id would mix calls and a wrong time bill them.
"""

from __future__ import annotations

import re
from typing import Any, Final

from schemas.dialect.mending import REPLACEMENT
from schemas.envelope import JsonObject
from schemas.errors import Malformed
from schemas.numbers import e164

MAX_ID: Final = 256  # characters; the longest documented id has 64, and a store's index has a limit too

_INTEGER: Final = re.compile(r"-?[0-9]{1,9}")


def text(row: JsonObject, name: str, *others: str) -> str | None:
    """The first of these fields that is a string with something in it."""
    value = row.get(name)
    if isinstance(value, str) and value:
        return value
    return text(row, *others) if others else None


def digits(row: JsonObject, name: str, *others: str) -> str | None:
    """Like `text`, but an integer counts as its digits."""
    value = row.get(name)
    if isinstance(value, str) and value:
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return digits(row, *others) if others else None


def phone(row: JsonObject, name: str, *others: str) -> str | None:
    """The first of these fields that holds a number, in E.164; blanks are none."""
    number = (digits(row, name) or "").strip()
    if not number:
        return phone(row, *others) if others else None
    return e164(number)


def says_nothing(value: str) -> bool:
    """Whether it holds nothing but blanks and characters that were lost: all such would be one id."""
    return not value.replace(REPLACEMENT, "").strip()


def as_integer(value: object) -> int | None:
    """An integer, or a short string that spells one."""
    if isinstance(value, int):
        return None if isinstance(value, bool) else value
    if not isinstance(value, str):
        return None
    spelled = value.strip()
    return int(spelled) if _INTEGER.fullmatch(spelled) else None


def listed(value: object) -> list[Any]:
    """The items of a field that is documented as a list: one that came alone, as an object, is a list of one."""
    if isinstance(value, list):
        return value
    return [value] if isinstance(value, dict) else []


def alone(value: object) -> JsonObject | None:
    """The object in a field that is documented as one: a list of one object is that object; None for anything else."""
    if isinstance(value, dict):
        return value
    (one,) = value if isinstance(value, list) and len(value) == 1 else (None,)
    return one if isinstance(one, dict) else None


def identifier(row: JsonObject, name: str) -> str | None:
    """An id as sent, compared exactly; None when there is none, or nothing but blanks and lost characters.

    Raises:
        Malformed: numeric_id, since a JSON reader may have rounded it; long_id beyond MAX_ID characters.
    """
    value = row.get(name)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        raise Malformed("numeric_id", name)
    if not isinstance(value, str) or not (spelled := value.strip()):
        return None
    if spelled[0] == REPLACEMENT and says_nothing(spelled):
        return None
    if len(value) > MAX_ID:
        raise Malformed("long_id", name)
    return value


def exact_id(row: JsonObject, name: str) -> str | None:
    """An id as sent; an integer counts as its digits, all of which a JSON reader keeps up to 64 bits.

    Raises:
        Malformed: numeric_id, for a float, which is what a longer integer has become; long_id.
    """
    value = row.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return identifier(row, name)


def session_of(row: JsonObject, name: str) -> str:
    """The session id in this field, which all that tells of one call shares.

    Raises:
        Malformed: no_session_id, numeric_id, long_id.
    """
    session_id = exact_id(row, name)
    if session_id is None:
        raise Malformed("no_session_id")
    return session_id
