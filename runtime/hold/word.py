"""What an operator said: who, when, and why."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson

from schemas.value import value


@value
class Word:
    """One word; a message that nobody can read holds all the same, by somebody at some time.

    `drain`: it is part of a drain, which ends as a whole.
    """

    by: str = "an operator"
    since: datetime | None = None
    why: str = ""
    drain: bool = False

    def __str__(self) -> str:
        """`by kim since 2026-11-27T01:00:00Z (the store moves)`."""
        since = f" since {moment(self.since)}" if self.since else ""
        return f"by {self.by}{since}" + (f" ({self.why})" if self.why else "")


def encode(word: Word) -> bytes:
    """The body of its message."""
    return orjson.dumps({"by": word.by, "since": moment(word.since), "why": word.why, "drain": word.drain})


def decode(body: bytes) -> Word:
    """The word that was encoded, or as much of it as can be read."""
    try:
        told: Any = orjson.loads(body)
        since = datetime.fromisoformat(told["since"]).astimezone(UTC)
        return Word(by=str(told["by"]), since=since, why=str(told.get("why", "")), drain=bool(told.get("drain")))
    except (ValueError, TypeError, LookupError):
        return Word()


def moment(at: datetime | None) -> str:
    """To the second, in UTC."""
    return "" if at is None else f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
