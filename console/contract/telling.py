"""A pipeline in one object, without a clock, a broker or a store: pushes and moments go in, events come out.

The same functions make the events as in the stages, so what comes out is what a queue would get, byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any, Final

import orjson

from ingest.decision_fact import decision_fact
from schemas.dialect import items
from schemas.envelope import Envelope, Kind, derived_id
from schemas.errors import Malformed
from schemas.fact_json import encode_fact, fact_envelope, identified
from schemas.facts import FactKind, Recording
from schemas.notification import Notification
from schemas.platforms import DIALECTS, number_of
from schemas.question import Asked, Decision
from schemas.recording import RecordingWanted, wanted_from_json
from workers.calls.events import event_at_once, number_event
from workers.calls.kept import KeptFact, kept_fact
from workers.calls.session import Session
from workers.calls.sms import is_sms, sms_step
from workers.calls.step import Patience, Step, step

BEGINS: Final = datetime(2026, 1, 5, 8, tzinfo=UTC)
_KEY: Final = b"golden events, not a secret"  # of the tokens in subjects of numbers
_TOKEN: Final = "golden-golden-golden-golden"  # noqa: S105 - no door knows it
_NOTHING: Final[Mapping[str, str]] = {}


class Telling:
    """One source that is told things, `at` seconds after BEGINS; `said` has the body of every event so far."""

    def __init__(self, platform: str, name: str) -> None:
        dialect = DIALECTS[platform]
        self.dialect = dialect
        self.source: Any = dialect.settings(name=name, platform=platform, tokens=(_TOKEN,))
        self.said: list[bytes] = []
        self._patience = Patience(call_events=not dialect.whole_by_cdr)
        self._sessions: dict[str, Session] = {}
        self._due: dict[str, datetime] = {}
        self._wanted: list[RecordingWanted] = []

    def pushed(self, file: str, *, at: float, path: str = "", instead: Mapping[str, str] = _NOTHING) -> Telling:
        """A published sample, with these words in place of those in it."""
        return self.told(_sample(self.source.platform, file, instead), at=at, path=path)

    def told(self, body: bytes, *, at: float, path: str = "") -> Telling:
        """A push of that body."""
        self.waits(until=at)
        notification, envelope = self._push(body, at=at, path=path)
        for n, item in enumerate(self.dialect.parse(notification, self.source)):
            assert not isinstance(item, Malformed), item.reason
            fact = identified(item, envelope, fact_id=derived_id(envelope.id, n), platform=self.source.platform)
            self._fact(kept_fact(orjson.loads(encode_fact(fact))), BEGINS + timedelta(seconds=at))
        return self

    def decided(self, asked: Asked, decision: Decision, *, at: float) -> Telling:
        """A rule answers a question."""
        self.waits(until=at)
        _, envelope = self._push(asked.key.encode(), at=at)
        made = decision_fact(asked, self.source, envelope, decision, by="rule", milliseconds=7)
        return self._enveloped(made, at)

    def fetched(self, *, at: float, **ended: Any) -> Telling:
        """The fetch of the recording that was announced last ends so."""
        self.waits(until=at)
        wanted = self._wanted[-1]
        item = items.recording(Recording(key=wanted.key, **ended), session_id=wanted.session_id, key=wanted.key)
        _, envelope = self._push(wanted.key.encode(), at=at)
        fact = identified(item, envelope, fact_id=derived_id(envelope.id, 0), platform=self.source.platform)
        return self._enveloped(fact_envelope(fact, trace=""), at)

    def forgotten(self) -> Telling:
        """What it is months later: of each call the tombstone is left."""
        self._sessions = {
            call_id: Session(facts={}, revision=session.revision, completed=session.completed)
            for call_id, session in self._sessions.items()
        }
        return self

    def waits(self, *, until: float) -> Telling:
        """What falls due until then is said at its moment."""
        end = BEGINS + timedelta(seconds=until)
        while self._due and min(self._due.values()) <= end:
            call_id, moment = min(self._due.items(), key=lambda due: (due[1], due[0]))
            self._step(call_id, [], moment)
        return self

    def _push(self, body: bytes, *, at: float, path: str = "") -> tuple[Notification, Envelope]:
        name = self.source.name
        told = Notification(path=path, remote="", content_type=_content_type(body), body=body)
        push_id = derived_id("golden", name, path, len(body), body.hex(), str(at))
        moment = BEGINS + timedelta(seconds=at)
        return told, Envelope(id=push_id, kind=Kind.NOTIFICATION, source=name, at=moment, body={})

    def _enveloped(self, envelope: Envelope, at: float) -> Telling:
        assert isinstance(envelope.body, bytes)
        self._fact(kept_fact(orjson.loads(envelope.body)), BEGINS + timedelta(seconds=at))
        return self

    def _fact(self, fact: KeptFact, now: datetime) -> None:
        if fact.kind == FactKind.NUMBER_STATE:
            number = number_of(self.source.platform, fact.row["raw"])
            self._say(number_event(fact, number, key=_KEY, now=now, trace=""))
            return
        if fact.kind in {FactKind.CALL_EVENT, FactKind.OTHER} or (
            fact.kind == FactKind.DECISION and fact.row["asked"] == "call"
        ):
            self._say(event_at_once(fact, trace=""))
        if fact.kind != FactKind.OTHER:
            self._step(fact.call_id, [fact], now)

    def _step(self, call_id: str, news: Sequence[KeptFact], now: datetime) -> None:
        session = self._sessions.get(call_id)
        some = news[0] if news or session is None else next(iter(session.facts.values()))
        taken: Step = (sms_step if is_sms(some) else step)(session, news, now=now, patience=self._patience)
        self._sessions[call_id] = taken.session
        self._due.pop(call_id, None)
        if taken.due_at is not None:
            self._due[call_id] = taken.due_at
        for envelope in taken.envelopes:
            if envelope.kind == Kind.EVENT:
                self._say(envelope)
            elif envelope.kind == Kind.RECORDING_WANTED:
                assert isinstance(envelope.body, dict)
                self._wanted.append(wanted_from_json(orjson.loads(orjson.dumps(envelope.body))))

    def _say(self, event: Envelope) -> None:
        assert isinstance(event.body, bytes)
        self.said.append(event.body)


def _sample(platform: str, file: str, instead: Mapping[str, str]) -> bytes:
    body = files("console").joinpath("samples", platform, file).read_bytes()
    for old, new in instead.items():
        assert old.encode() in body, old
        body = body.replace(old.encode(), new.encode())
    return body


def _content_type(body: bytes) -> str:
    return "application/xml;charset=utf-8" if body.lstrip().startswith(b"<") else "application/json;charset=UTF-8"
