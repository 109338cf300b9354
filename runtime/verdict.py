"""What becomes of an envelope that failed: one pure function over a table."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from schemas.errors import CallstitchError, Malformed, Permanent, Transient
from schemas.topology import RETRY_DELAYS


@dataclass(frozen=True, slots=True)
class Policy:
    """The delay tiers of a stage, one per retry: after the last one comes the dead letter."""

    delays: tuple[str, ...]

    @property
    def last_attempt(self) -> int:
        """The attempt after which nothing is tried any more; attempts count from 1."""
        return len(self.delays) + 1


@dataclass(frozen=True, slots=True)
class Retry:
    """Once more after this delay tier."""

    delay: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Failed for good in this stage."""

    reason: str


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Unreadable: kept raw for a change of our code."""

    reason: str


Verdict = Retry | DeadLetter | Quarantine

POLICIES: Final[Mapping[str, Policy]] = {
    "dedupe": Policy(("1s", "5s", "30s", "2m")),
    "correlate": Policy(("1s", "5s", "30s", "2m")),
    "fetch_recording": Policy(("1s", "5s", "30s", "2m", "10m", "1h", "6h", "6h", "6h")),
    "fan_out": Policy(("5s", "2m", "10m", "1h", "6h", "6h", "6h", "6h")),
    "park": Policy(("5s", "30s", "2m")),
}


def verdict(error: Exception, attempt: int, policy: Policy) -> Verdict:
    """Unknown exceptions are worth the schedule too: many a bug is a race that the next attempt does not meet."""
    if isinstance(error, Malformed):
        return Quarantine(error.reason)
    if isinstance(error, Permanent) or attempt >= policy.last_attempt:
        return DeadLetter(reason_of(error))
    planned = policy.delays[attempt - 1]
    if isinstance(error, Transient) and error.retry_after is not None:
        return Retry(_at_least(error.retry_after, planned))
    return Retry(planned)


def _at_least(seconds: float, planned: str) -> str:
    wanted = max(seconds, RETRY_DELAYS[planned])
    return next((delay for delay, length in RETRY_DELAYS.items() if length >= wanted), "6h")


def reason_of(error: Exception) -> str:
    """Why, without the values: the text of a foreign exception may hold a phone number, so only its place is told."""
    if isinstance(error, CallstitchError):
        return f"{type(error).__name__}: {error}"
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"
