"""Fields of a platform's item, read with tolerance: what is absent, empty or of another type is None.

Only ids and times are strict, because a wrong id would mix calls and a wrong time would bill them.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Final

from schemas.envelope import JsonObject
from schemas.errors import Malformed
from schemas.numbers import e164

BEIJING: Final = timezone(timedelta(hours=8))  # no summer time since 1991
MAX_ID: Final = 256  # characters; the longest documented id has 64, and a store's index has a limit too

_RECENT_SECONDS: Final = 1024  # what is under load tells the same few seconds again and again
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z?")
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
    """The first of these fields that holds a number, in E.164."""
    number = digits(row, name)
    if number is None:
        return phone(row, *others) if others else None
    return e164(number)


def as_integer(value: object) -> int | None:
    """An integer, or a short string that spells one."""
    if isinstance(value, int):
        return None if isinstance(value, bool) else value
    return int(value) if isinstance(value, str) and _INTEGER.fullmatch(value) else None


def utc(row: JsonObject, name: str) -> datetime | None:
    """A time in UTC, sent as `yyyy-MM-dd HH:mm:ss` without a zone; ISO 8601 with T, fraction and Z passes too.

    Raises:
        Malformed: bad_time, when something else stands there.
    """
    value = row.get(name)
    if value is None or value == "":
        return None
    at = _moment(value) if isinstance(value, str) else None
    if at is None:
        raise Malformed("bad_time", name)
    return at


@lru_cache(_RECENT_SECONDS)
def _moment(spelled: str) -> datetime | None:
    if not _TIME.fullmatch(spelled):
        return None
    try:
        # replace(tzinfo=UTC) afterwards costs more than twice this
        return datetime.fromisoformat(spelled.removesuffix("Z") + "+00:00")
    except ValueError:
        return None


@lru_cache(_RECENT_SECONDS)
def iso(at: datetime) -> str:
    """A time in UTC as ISO 8601, as keys spell it."""
    return at.isoformat()


def identifier(row: JsonObject, name: str) -> str | None:
    """An id as sent, compared exactly; None when there is none.

    Raises:
        Malformed: numeric_id, since a JSON reader may have rounded it; long_id beyond MAX_ID characters.
    """
    value = row.get(name)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        raise Malformed("numeric_id", name)
    if not isinstance(value, str) or not value:
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
