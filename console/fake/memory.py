"""What dedupe and correlate keep, in memory: for calls that are made up and forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from schemas.dialect.items import repeats_only_the_latest
from schemas.envelope import Envelope
from workers.calls.session import Session
from workers.calls.step import Step
from workers.correlate import News, StepFunction
from workers.dedupe import Claim, ClaimResult, Receipt, Tally
from workers.retention import AS_EVER, Retention


class Claims:
    """A `ClaimStore` whose notifications come once and in the order of their moments."""

    def __init__(self) -> None:
        self._told: dict[str, list[str]] = {}  # fingerprints by key, in their order

    async def claim(self, receipts: Sequence[Receipt], tallies: Sequence[Tally]) -> Mapping[str, ClaimResult]:
        """As `ClaimStore` promises."""
        del tallies
        return {claim.owner: self._claim(claim) for receipt in receipts for claim in receipt.claims}

    def _claim(self, claim: Claim) -> ClaimResult:
        told = self._told.setdefault(f"{claim.source}|{claim.key}", [])
        known = told[-1:] if repeats_only_the_latest(claim.key) else told
        if claim.fingerprint in known:
            return "duplicate"
        told.append(claim.fingerprint)
        return "amended" if len(told) > 1 else "new"

    async def look(self, now: datetime) -> Mapping[str, int]:
        """Nobody looks."""
        del now
        return {}

    async def expire(self, now: datetime, limit: int) -> int:
        """Nothing is kept long enough."""
        del now, limit
        return 0


class Sessions:
    """A `SessionStore`; what it says has always left at once."""

    def __init__(self, token_key: bytes) -> None:
        self.token_key = token_key
        self._steps: dict[str, Step] = {}
        self._told: set[str] = set()

    @property
    def due_at(self) -> datetime | None:
        """When the next of them has something to say, if nothing more is told of it."""
        return min((step.due_at for step in self._steps.values() if step.due_at is not None), default=None)

    async def fold(self, news: News, step: StepFunction, now: datetime) -> Sequence[Envelope]:
        """As `SessionStore` promises."""
        del now
        return [envelope for call, facts in news.items() for envelope in self._kept(call, step(self._of(call), facts))]

    async def tell(self, events: Sequence[Envelope], now: datetime) -> Sequence[Envelope]:
        """As `SessionStore` promises."""
        del now
        news = [event for event in events if event.id not in self._told]
        self._told.update(event.id for event in news)
        return news

    async def due(self, now: datetime, step: StepFunction, limit: int) -> Sequence[Envelope]:
        """As `SessionStore` promises, of all that are due."""
        del limit
        due = [call for call, one in self._steps.items() if one.due_at is not None and one.due_at <= now]
        return [envelope for call in due for envelope in self._kept(call, step(self._of(call), []))]

    async def unsent(self, now: datetime, limit: int) -> Sequence[Envelope]:
        """Nothing stays behind."""
        del now, limit
        return []

    async def sent(self, ids: Sequence[str], now: datetime) -> None:
        """Nobody has to remember it."""

    async def look(self, now: datetime) -> Mapping[str, int]:
        """Nobody looks."""
        del now
        return {}

    async def purge(self, calls: Sequence[str], events: Sequence[str], now: datetime) -> Mapping[str, str]:
        """Nobody is in it."""
        del calls, events, now
        return {}

    async def expire(self, now: datetime, limit: int, kept: Retention = AS_EVER) -> int:
        """Nothing is kept long enough."""
        del now, limit, kept
        return 0

    def _of(self, call: str) -> Session | None:
        return self._steps[call].session if call in self._steps else None

    def _kept(self, call: str, step: Step) -> Sequence[Envelope]:
        self._steps[call] = step
        return step.envelopes
