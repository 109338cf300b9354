"""Pushes to events by our own stages, dedupe and correlate, with a clock of their own and nothing stored."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import orjson

from console.emulator.audio import HEADER_BYTES, SAMPLES_PER_SECOND, digest_of, make_audio
from console.fake.memory import Claims, Sessions
from ingest.decision_fact import decision_fact
from schemas.envelope import Envelope, Kind, derived_id
from schemas.errors import Malformed
from schemas.facts import CallEvent, Cdr, Parsed, Recording, Sms
from schemas.notification import Notification, to_json
from schemas.platforms import DIALECTS
from schemas.question import Decision
from schemas.recording import wanted_from_json
from schemas.settings.source import Source
from schemas.stage import Outcome
from workers.calls.step import Patience
from workers.correlate import correlate
from workers.dedupe import dedupe
from workers.fetch_recording import place_of, recording_fact

TOKEN: Final = "fake-token-of-nobody-at-all"  # noqa: S105 - it opens nothing
BETWEEN: Final = timedelta(milliseconds=20)  # two pushes
UNDER_WAY: Final = timedelta(milliseconds=300)  # from what happened to the push that tells it
FETCHED_AFTER: Final = timedelta(seconds=4)


class Pipeline:
    """One source as it would be told by a running Callstitch: `events` is all that it said, in order."""

    def __init__(self, source: str, platform: str, *, seed: int, start: datetime) -> None:
        dialect = DIALECTS[platform]
        self._seed = seed
        self._dialect = dialect
        self.source: Source = dialect.settings.model_validate({"name": source, "platform": platform, "tokens": [TOKEN]})
        self._sessions = Sessions(hashlib.sha256(f"fake:{source}:{seed}".encode()).digest()[:32])
        self._dedupe = dedupe(
            Claims(), sources={source: self.source}, dialects={platform: dialect}, count=lambda *_: None
        )
        patience = Patience(call_events=not dialect.whole_by_cdr)
        self._correlate = correlate(
            self._sessions,
            patience={source: patience},
            progress=frozenset({source}),
            clock=lambda: self.now,
        )
        self.now = start.astimezone(UTC)
        self.events: list[Envelope] = []
        self.wanted: list[Envelope] = []
        self._pushes = 0

    async def push(self, notification: Notification) -> Envelope:
        """The platform tells something, soon after it happened; what is due before that is said before."""
        moments = [*filter(None, map(_moment, self._read(notification)))]
        await self.until(max([self.now + BETWEEN, *(moment + UNDER_WAY for moment in moments)]))
        self._pushes += 1
        digest = hashlib.sha256(f"{self._seed}|{self._pushes}|{self.source.name}|{self.now}".encode()).hexdigest()
        envelope = Envelope(
            id=derived_id("fake", digest),
            kind=Kind.NOTIFICATION,
            source=self.source.name,
            at=self.now,
            body=to_json(notification),
            trace=f"00-{digest[:32]}-{digest[32:48]}-01",
        )
        await self._told(await self._dedupe.handle([envelope]))
        return envelope

    async def ask(self, notification: Notification, decision: Decision) -> None:
        """A push that waits for an answer, and the answer of a service."""
        assert self._dialect.asks is not None
        asked = self._dialect.asks.question(notification, self.source)
        assert asked is not None, "a fake question asks"
        envelope = await self.push(notification)
        fact = decision_fact(asked, self.source, envelope, decision, by="service", milliseconds=12)
        await self._told([fact])

    async def fetched(self) -> None:
        """Each recording that is wanted by now is in the object store."""
        for order in self._orders():
            wanted = wanted_from_json(_row(order))
            name = (wanted.url or wanted.name or "").partition("?")[0].rpartition("/")[2]
            audio = make_audio(self._seed, name)
            digest = digest_of(audio)
            kind = name.rpartition(".")[2]
            recording = Recording(
                key=wanted.key,
                state="stored",
                place=place_of(order, wanted, kind),
                bytes=int(digest["bytes"]),
                sha256=str(digest["sha256"]),
                seconds=round((len(audio) - HEADER_BYTES) / SAMPLES_PER_SECOND, 3) if kind == "wav" else None,
                format=kind,
            )
            await self._ended(order, recording)

    async def not_fetched(self, reason: str) -> None:
        """No recording that is wanted by now will ever come."""
        for order in self._orders():
            await self._ended(order, Recording(key=wanted_from_json(_row(order)).key, state="failed", reason=reason))

    async def until(self, moment: datetime) -> None:
        """Let time pass, and say what falls due meanwhile."""
        tick = self._correlate.tick
        assert tick is not None
        while (due_at := self._sessions.due_at) is not None and due_at <= moment:
            self.now = max(self.now, due_at)
            self._said(await tick(self.now))
        self.now = moment

    async def waits(self, **how_long: float) -> None:
        """As `until`, so much later."""
        await self.until(self.now + timedelta(**how_long))

    def _read(self, notification: Notification) -> Iterable[Parsed | Malformed]:
        try:
            return self._dialect.parse(notification, self.source)
        except Malformed:
            return []

    def _orders(self) -> list[Envelope]:
        orders, self.wanted = self.wanted, []
        return orders

    async def _ended(self, order: Envelope, recording: Recording) -> None:
        await self.until(self.now + FETCHED_AFTER)
        wanted = wanted_from_json(_row(order))
        await self._told([recording_fact(order, wanted, recording, platform=self.source.platform)])

    async def _told(self, outcome: Outcome) -> None:
        facts = [one for one in outcome if isinstance(one, Envelope) and one.kind == Kind.FACT]
        if facts:
            self._said(await self._correlate.handle([replace(fact, body=_row(fact)) for fact in facts]))

    def _said(self, outcome: Outcome) -> None:
        for one in outcome:
            if isinstance(one, Envelope) and one.kind == Kind.EVENT:
                self.events.append(one)
            elif isinstance(one, Envelope) and one.kind == Kind.RECORDING_WANTED:
                self.wanted.append(one)


def _row(envelope: Envelope) -> dict[str, object]:
    """The body as the next stage reads it."""
    read: dict[str, object] = orjson.loads(
        envelope.body if isinstance(envelope.body, bytes) else orjson.dumps(envelope.body)
    )
    return read


def _moment(item: Parsed | Malformed) -> datetime | None:
    """When what it tells had happened, where it says so."""
    match item:
        case Parsed(body=CallEvent(at=at)):
            return at
        case Parsed(body=Cdr(call=call)):
            return call.ended_at or call.answered_at or call.started_at
        case Parsed(body=Sms(sent_at=sent_at)):
            return sent_at
    return None


def notification(path: str, content_type: str, body: bytes) -> Notification:
    """A push as the door takes it."""
    return Notification(path=path, remote="192.0.2.1", content_type=content_type, body=body)
