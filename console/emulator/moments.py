"""Moments as platforms spell them and as records show them; all in UTC here."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

BEIJING_AHEAD: Final = timedelta(hours=8)


def utc(moment: datetime) -> str:
    """UTC without a zone mark."""
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def read_utc(text: str) -> datetime:
    """A moment that `utc` spelled."""
    return datetime.strptime(f"{text}+0000", "%Y-%m-%d %H:%M:%S%z")


def beijing(moment: datetime) -> str:
    """Beijing time without a zone mark."""
    return utc(moment + BEIJING_AHEAD)


def beijing_digits(moment: datetime) -> str:
    """Beijing time as yyyyMMddHHmmss."""
    return f"{moment + BEIJING_AHEAD:%Y%m%d%H%M%S}"


def rfc3339(moment: datetime | None) -> str | None:
    """A moment as records show it."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}" if moment else None


def seconds_between(begin: datetime | None, end: datetime | None) -> int | None:
    """Whole seconds, None where one end is not known."""
    return int((end - begin).total_seconds()) if begin and end else None
