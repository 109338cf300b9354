"""What becomes of an envelope that failed: one pure function over a table.

The delay tiers give no jitter: each is one queue with one TTL, so what failed together comes back together, spaced as
it failed. A TTL for each message would not spread it either, as a quorum queue expires only its head (tried on 3.10.8:
of 1,000 with 2 to 4 s each, 99 in 100 came after 3.6 s). What bounds the load on whom we call is the stage: how much
it works on at once, and how many requests a sink has under way; the rest waits in the stage's queue. What all
processes would try at one moment does have jitter: connecting again, and `runtime.settle.backoffs`.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import AfterValidator

from schemas.errors import CallstitchError, Malformed, Permanent, Transient, Unavailable
from schemas.settings import Settings, Tier
from schemas.topology import RETRY_DELAYS, STAGES


def _retrying(stage: str) -> str:
    retrying = [row.name for row in STAGES.values() if row.delays]
    if stage not in retrying:
        raise ValueError(f"no such stage; those that retry: {', '.join(retrying)}")
    return stage


RetryingStage = Annotated[str, AfterValidator(_retrying)]


class StageRetry(Settings):
    """The waits before a stage's further attempts; after the last one comes the dead letter.

    `schedule` is for what may pass by itself, and `unexpected` for an error that nobody planned for (by default the
    same). What is not given keeps its default (POLICIES).
    """

    schedule: tuple[Tier, ...] | None = None
    unexpected: tuple[Tier, ...] | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """The delay tiers of a stage, one per retry: after the last one comes the dead letter.

    `delays` is for what may pass by itself (Transient), `unexpected` for an exception that nobody planned for; None: as
    `delays`.
    """

    delays: tuple[str, ...]
    unexpected: tuple[str, ...] | None = None

    @property
    def last_attempt(self) -> int:
        """The attempt after which what may pass by itself is not tried any more; attempts count from 1."""
        return len(self.delays) + 1

    def planned(self, error: Exception) -> tuple[str, ...]:
        """The tiers for this class of error."""
        if self.unexpected is None or isinstance(error, Transient):
            return self.delays
        return self.unexpected


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


@dataclass(frozen=True, slots=True)
class PutBack:
    """To the end of its own queue, no attempt counted: whoever was to take it is away."""


Verdict = Retry | DeadLetter | Quarantine | PutBack

POLICIES: Final[Mapping[str, Policy]] = {row.name: Policy(row.delays) for row in STAGES.values() if row.delays}


def policies(wanted: Mapping[str, StageRetry]) -> Mapping[str, Policy]:
    """POLICIES, with what the config says otherwise; keyed by the stage's name."""
    return {stage: _merged(policy, wanted.get(stage)) for stage, policy in POLICIES.items()}


def _merged(default: Policy, wanted: StageRetry | None) -> Policy:
    if wanted is None:
        return default
    delays = default.delays if wanted.schedule is None else wanted.schedule
    return Policy(delays, default.unexpected if wanted.unexpected is None else wanted.unexpected)


def verdict(error: Exception, attempt: int, policy: Policy) -> Verdict:
    """Unknown exceptions are worth the schedule too: many a bug is a race that the next attempt does not meet."""
    if isinstance(error, Malformed):
        return Quarantine(error.reason)
    if isinstance(error, Unavailable):
        return PutBack()
    delays = policy.planned(error)
    if isinstance(error, Permanent) or attempt > len(delays):
        return DeadLetter(reason_of(error))
    planned = delays[attempt - 1]
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
