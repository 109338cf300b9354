"""The time in a platform's field, however it is spelled: the one reader of every dialect."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Final

from schemas.envelope import JsonObject
from schemas.errors import Malformed

BEIJING: Final = timezone(timedelta(hours=8))  # no summer time since 1991

_RECENT_SECONDS: Final = 1024  # what is under load tells the same few seconds again and again

_LONGEST: Final = 64  # characters of a time, blanks in it included: what is read is kept

_SPELLED: Final = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})(?:\s*[Tt]\s*|\s+)(?P<time>[0-9]{2}:[0-9]{2}:[0-9]{2})"
    r"(?P<fraction>[.,][0-9]{1,9})?\s*(?P<zone>[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?"
)
_COMPACT: Final = re.compile(r"[0-9]{14}")  # yyyyMMddHHmmss
_EPOCH_SECONDS: Final = re.compile(r"[1-9][0-9]{9}")  # 2001 to 2286
_EPOCH_MILLISECONDS: Final = re.compile(r"[1-9][0-9]{12}")


def utc(row: JsonObject, name: str, *, zone: timezone = UTC) -> datetime | None:
    """The time in a field, in UTC; None when there is none.

    Read are `yyyy-MM-dd HH:mm:ss`, with T and with any spaces, a fraction and a zone; `yyyyMMddHHmmss`; seconds and
    milliseconds since 1970, as a number too. `zone` is that of a time which names none.

    Raises:
        Malformed: bad_time, when something else stands there.
    """
    value = row.get(name)
    if value is None or value == "":
        return None
    # what nearly all are, without a call more: a CDR has five
    at = _read(value, zone) if type(value) is str and len(value) <= _LONGEST else moment(value, zone)
    if at is None and not (isinstance(value, str) and is_none(value)):
        raise Malformed("bad_time", name)
    return at


def moment(value: object, zone: timezone) -> datetime | None:
    """The time that a value tells, in UTC; None where it tells none."""
    if type(value) is str:
        return _read(value, zone) if len(value) <= _LONGEST else None
    return _read(str(value), zone) if type(value) is int else None


def is_none(spelled: str) -> bool:
    """Whether a text says that there is nothing: Java's senders write `null`."""
    return spelled.strip() in ("", "null")


def is_epoch_ms(value: object) -> bool:
    """Whether it is a number of 13 figures, or spells one."""
    return isinstance(value, (int, str)) and _EPOCH_MILLISECONDS.fullmatch(str(value)) is not None


@lru_cache(_RECENT_SECONDS)
def iso(at: datetime) -> str:
    """A time in UTC as ISO 8601, as keys spell it."""
    return at.isoformat()


@lru_cache(_RECENT_SECONDS)
def _read(spelled: str, zone: timezone) -> datetime | None:
    spelled = spelled.strip()
    try:
        if found := _SPELLED.fullmatch(spelled):
            fraction = (found["fraction"] or "").replace(",", ".")
            at = datetime.fromisoformat(f"{found['day']}T{found['time']}{fraction}{(found['zone'] or '').upper()}")
        elif _COMPACT.fullmatch(spelled):
            at = datetime.fromisoformat(f"{spelled[:8]}T{spelled[8:]}")
        elif _EPOCH_SECONDS.fullmatch(spelled):
            return datetime.fromtimestamp(int(spelled), UTC)
        elif _EPOCH_MILLISECONDS.fullmatch(spelled):
            return datetime.fromtimestamp(int(spelled) / 1000, UTC)
        else:
            return None
        return (at.replace(tzinfo=zone) if at.tzinfo is None else at).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
