"""The plain model of both stores: dicts, and the same pure step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from schemas.dialect.items import repeats_only_the_latest
from schemas.envelope import Envelope
from tests.building.facts import seconds
from tests.building.states import come_back
from workers.calls.session import Session
from workers.calls.step import Step
from workers.correlate import News, StepFunction
from workers.dedupe import Claim


@dataclass
class ClaimsModel:
    known: dict[str, dict[str, tuple[str, datetime]]] = field(default_factory=dict)
    latest: dict[str, tuple[str, str]] = field(default_factory=dict)
    answered: dict[str, str] = field(default_factory=dict)

    def claim(self, claims: Sequence[Claim]) -> dict[str, str]:
        results = {}
        for claim in claims:
            if repeats_only_the_latest(claim.key):
                results[claim.owner] = self._claim_latest(claim)
        others = [claim for claim in claims if claim.owner not in results]
        for claim in sorted(others, key=lambda c: (c.key, c.at, c.owner)):
            told = self.known.setdefault(claim.key, {})
            owner, at = told.get(claim.fingerprint, (None, claim.at))
            if owner is None:
                results[claim.owner] = "amended" if told else "new"
            elif owner == claim.owner:
                results[claim.owner] = "mine"
            else:
                results[claim.owner] = "earlier" if claim.at < at else "duplicate"
            if results[claim.owner] != "duplicate":
                told[claim.fingerprint] = (claim.owner, claim.at)
        return results

    def _claim_latest(self, claim: Claim) -> str:
        if claim.owner in self.answered:
            return "mine" if self.answered[claim.owner] == claim.owner else "duplicate"
        fingerprint, owner = self.latest.get(claim.key, (None, ""))
        repeats = fingerprint == claim.fingerprint
        self.answered[claim.owner] = owner if repeats else claim.owner
        self.latest[claim.key] = (claim.fingerprint, self.answered[claim.owner])
        return "duplicate" if repeats else "new"

    def forget(self) -> None:
        self.known, self.latest, self.answered = {}, {}, {}


@dataclass
class Row:
    call_id: str
    envelope: Envelope
    leased_at: datetime
    sent: bool = False


@dataclass
class SessionsModel:
    sessions: dict[str, tuple[Session, datetime | None]] = field(default_factory=dict)
    tombstones: dict[str, tuple[int, str]] = field(default_factory=dict)
    outbox: list[Row] = field(default_factory=list)
    heard: dict[str, object] = field(default_factory=dict)

    def fold(self, news: News, step: StepFunction, now: datetime) -> list[Envelope]:
        left = [row for row in self._rested(now) if row.call_id in news]
        steps = {call_id: step(self._before(call_id), facts) for call_id, facts in news.items()}
        return [*self._leased(left, now), *self._keep(steps, now)]

    def due(self, step: StepFunction, now: datetime, order: Sequence[Envelope]) -> list[Envelope]:
        """Everything due; sessions of equal deadlines are swept in the order that the store chose."""
        steps = {call_id: step(self.sessions[call_id][0], []) for call_id in self.due_ids(now)}
        place = {envelope.id: n for n, envelope in enumerate(order)}
        said = sorted(steps, key=lambda call_id: min([place.get(e.id, 0) for e in steps[call_id].envelopes], default=0))
        return self._keep({call_id: steps[call_id] for call_id in said}, now)

    def due_ids(self, now: datetime) -> list[str]:
        return [call_id for call_id, (_, due_at) in self.sessions.items() if due_at is not None and due_at <= now]

    def unsent(self, now: datetime, limit: int) -> list[Envelope]:
        longest = sorted(self._rested(now), key=lambda row: row.leased_at)[:limit]
        return self._leased([row for row in self.outbox if row in longest], now)

    def sent(self, ids: Sequence[str]) -> None:
        for row in self.outbox:
            row.sent = row.sent or row.envelope.id in ids

    def forget(self) -> None:
        """All sessions go: nothing is due, nothing unsent, and all is long ago."""
        for call_id, (session, _) in self.sessions.items():
            status = "completed" if session.completed else "incomplete" if session.incomplete else "open"
            self.tombstones[call_id] = (session.revision, status)
        self.sessions, self.outbox = {}, []

    def unsent_ids(self) -> set[str]:
        return {row.envelope.id for row in self.outbox if not row.sent}

    def hear(self, told: Sequence[Envelope]) -> None:
        """What was published: an id never has two bodies, in one life or the next."""
        for envelope in told:
            assert self.heard.setdefault(envelope.id, envelope.body) == envelope.body, "one id with two bodies"

    def _before(self, call_id: str) -> Session | None:
        if call_id in self.sessions:
            return self.sessions[call_id][0]
        if call_id not in self.tombstones:
            return None
        revision, status = self.tombstones[call_id]
        return Session(facts={}, revision=revision, completed=status == "completed", incomplete=status == "incomplete")

    def _keep(self, steps: Mapping[str, Step], now: datetime) -> list[Envelope]:
        said = []
        for call_id, step in steps.items():
            self.sessions[call_id] = (come_back(step.session), step.due_at)
            for envelope in step.envelopes:
                self.outbox.append(Row(call_id, envelope, now))
                said.append(envelope)
        return said

    def _rested(self, now: datetime) -> list[Row]:
        return [row for row in self.outbox if not row.sent and row.leased_at <= now - seconds(5)]

    def _leased(self, rows: Sequence[Row], now: datetime) -> list[Envelope]:
        for row in rows:
            row.leased_at = now
        return [row.envelope for row in rows]
