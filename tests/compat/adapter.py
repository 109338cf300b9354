"""The one file through which the recorded run reaches into the product: everything else about it is bytes and files.

When the product's packages move, this file follows them. What it hands out must not change: raw pushes go in, and
messages come out as the broker would be given them.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from console.config_file import load_config
from ingest.decision_fact import decision_fact
from runtime import wire
from runtime.broker.base import Delivery
from runtime.broker.base import Message as BrokerMessage
from runtime.isolate import run_isolated
from schemas.envelope import Envelope, Kind, decode_bundle, decode_envelope, encode_bundles, encode_envelope
from schemas.errors import Malformed
from schemas.notification import Notification, Reply, to_json
from schemas.platforms import DIALECTS
from schemas.question import Answer, Asked, Decision, Question
from schemas.settings.addresses import store_address
from schemas.settings.source import AskingSource, Source
from schemas.stage import Failed, Stage
from tests.compat.read_otherwise import as_then, for_dedupe_as_then
from tests.compat.recorded import Message, Push, read_pushes
from tests.compat.wanted import RABBITMQ
from workers.calls.step import Patience
from workers.config import Config
from workers.correlate import correlate
from workers.decide import decide
from workers.dedupe import dedupe
from workers.park import park
from workers.stores import open_claims, open_parked, open_sessions

_DIALECTS = as_then(DIALECTS, read_pushes())
_DECIDED_MILLISECONDS = 7
_GIVEN_UP = "delivery_limit"
_BOXES = {
    "quarantine": "callstitch.quarantine.v1",
    "dead": "callstitch.dead.v1",
    "unrouted": "callstitch.unrouted.v1",
}


@dataclass
class Clock:
    """What the stages are told of the time."""

    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@dataclass(kw_only=True)
class Product:
    """Dedupe, correlate and park over SQLite files in one directory, with a clock and message ids that are told."""

    config: Config
    clock: Clock
    stages: Mapping[str, Stage]
    message_ids: Iterator[str]
    counted: Counter[str] = field(default_factory=Counter)

    def reads(self, push: Push) -> dict[str, Any]:
        """What the door and dedupe make of one push: signature, answer, question, and a line for each item."""
        source = next(one for one in self.config.source if one.name == push.source)
        dialect, notification = _DIALECTS[source.platform], _notification(push)
        found: dict[str, Any] = {
            "verified": dialect.verify(notification, source, push.at) if dialect.verify else None,
            "nonce": dialect.once.nonce(notification) if dialect.once else None,
            "reply": _reply(dialect.reply(notification)),
            "items": self._items(push),
        }
        asked = self._asked(push)
        if asked is not None and dialect.asks is not None:
            answer = self._answer(push, asked)
            told = dialect.asks.answer(notification, _decision(answer), source)
            found |= {"asked": asked.model_dump(), "answer": answer.decode(), "told": _reply(told)}
        return found

    def _items(self, push: Push) -> list[list[str | None]]:
        source = next(one for one in self.config.source if one.name == push.source)
        try:
            items = _DIALECTS[source.platform].parse(_notification(push), source)
        except Malformed as error:
            items = [error]
        return [
            ["malformed", one.reason, None, None]
            if isinstance(one, Malformed)
            else [one.kind, one.session_id, one.key, one.fingerprint]
            for one in items
        ]

    def _asked(self, push: Push) -> Asked | None:
        source = self.config.asking.get(push.source)
        asks = _DIALECTS[source.platform].asks if source is not None else None
        return asks.question(_notification(push), source) if asks is not None else None

    def _answer(self, push: Push, asked: Asked) -> bytes:
        question = Question(
            id="q",
            platform=next(one.platform for one in self.config.source if one.name == push.source),
            source=push.source,
            call_id=f"{push.source}:{asked.session_id}",
            asked_at="2026-11-21T08:00:00Z",
            deadline_ms=400,
            **asked.model_dump(exclude={"session_id", "key", "fingerprint"}),
        )
        defaults = {name: source.default for name, source in self.config.asking.items()}
        answer = decide(self.config.rule, defaults)(question.model_dump_json().encode())
        assert answer is not None
        return answer

    def accepts(self, push: Push, envelope_id: str, at: datetime, trace: str) -> list[Envelope]:
        """The door's envelopes of one push: the notification itself, and what was decided if it asked."""
        source = next(one for one in self.config.source if one.name == push.source)
        notification = _notification(push)
        envelope = Envelope(
            id=envelope_id, kind=Kind.NOTIFICATION, source=push.source, at=at, body=to_json(notification), trace=trace
        )
        asked = self._asked(push)
        if asked is None:
            return [envelope]
        answer = self._answer(push, asked)
        by = Answer.model_validate_json(answer).by or "service"
        fact = decision_fact(asked, source, envelope, _decision(answer), by=by, milliseconds=_DECIDED_MILLISECONDS)
        return [envelope, fact]

    def tally(self, envelope_id: str, source: str, at: datetime, answered: int) -> Envelope:
        """What ingest tells dedupe of an hour."""
        body = {"hour": f"{at:%Y-%m-%dT%H}", "answered": answered}
        return Envelope(id=envelope_id, kind=Kind.TALLY, source=source, at=at, body=body)

    def packed(self, envelopes: Sequence[Envelope]) -> list[Message]:
        """As messages."""
        return [_plain(message) for message in wire.pack(envelopes, self.message_ids)]

    async def works(self, stage: str, queue: str, messages: Sequence[Message]) -> tuple[list[Message], list[str]]:
        """What the stage makes of these messages of its queue, and what it says of those that it failed."""
        batch = [e for message in messages for e in wire.unpack(_delivered(message), self.clock(), queue=queue)]
        outcome = await run_isolated(self.stages[stage].handle, batch)
        failed = [one for one in outcome if isinstance(one, Failed)]
        made = await self._published(stage, [one for one in outcome if not isinstance(one, Failed)])
        return made, [f"{one.envelope.id} {type(one.error).__name__}: {one.error}" for one in failed]

    async def ticks(self, stage: str) -> list[Message]:
        """What the stage says at this moment by itself."""
        tick = self.stages[stage].tick
        return await self._published(stage, await tick(self.clock())) if tick else []

    async def _published(self, stage: str, envelopes: Sequence[Envelope]) -> list[Message]:
        made, published = self.packed(envelopes), self.stages[stage].published
        if published is not None:
            await published([envelope.id for envelope in envelopes])
        return made


@asynccontextmanager
async def open_product(config: Path, directory: Path) -> AsyncIterator[Product]:
    """The product on the state in `directory`, configured by that TOML file."""
    loaded, clock, counted = load_config(config, RABBITMQ), Clock(), Counter[str]()
    sources = {source.name: source for source in loaded.source}
    patience = {
        source.name: Patience(
            settle=source.settle,
            cdr_wait=source.cdr_wait,
            open_max=source.open_max,
            billing=source.billing,
            call_events=source.call_events and not _DIALECTS[source.platform].whole_by_cdr,
        )
        for source in loaded.source
    }
    store = store_address(f"sqlite:{directory}")

    def count(source: str, result: str, number: int) -> None:
        counted[f"{source} {result}"] += number

    async with (
        open_claims(store) as claims,
        open_sessions(store, clock=clock) as (sessions, _),
        open_parked(store) as parked,
    ):
        progress = frozenset(source.name for source in loaded.source if source.progress)
        yield Product(
            config=loaded,
            clock=clock,
            message_ids=(f"m.{n}" for n in range(1, 1 << 30)),
            counted=counted,
            stages={
                "dedupe": dedupe(claims, sources=sources, dialects=for_dedupe_as_then(_DIALECTS), count=count),
                "correlate": correlate(sessions, patience=patience, progress=progress, clock=clock),
                **{f"park.{box}": park(parked, box=box, clock=clock) for box in _BOXES},
            },
        )


async def wanted_back(directory: Path, ids: Sequence[str]) -> None:
    """An operator wants these parked messages back in the flow; nobody else has the state open."""
    async with open_parked(store_address(f"sqlite:{directory}")) as store:
        await store.want(ids)


def wire_forms(bundle: bytes, event: Message) -> dict[str, Any]:
    """Every other form in which an envelope, an event and a broken message travel."""
    first, now = decode_bundle(bundle)[0], datetime(2026, 11, 21, 8, tzinfo=UTC)
    queue, delivery = "callstitch.unique.v1", _delivered(event)
    of_event = wire.unpack(delivery, now, queue=queue)[0]
    late = dataclasses.replace(of_event, route="callstitch.sink.file.v1")
    # every broker says why it gave a message up; that version did not ask
    dead = dataclasses.replace(event, routing_key=queue, headers={**event.headers, "x-first-death-reason": _GIVEN_UP})
    broken = dataclasses.replace(event, body="[{]", content_type="application/vnd.callstitch.bundle+json")
    ids = (f"w.{n}" for n in range(1, 100))
    return {
        "encoded": encode_envelope(first).decode(),
        "read": encode_envelope(decode_envelope(_object(encode_envelope(first)))).decode(),
        "bundles": [[body.decode(), len(members)] for body, members in encode_bundles([first] * 130)][1:],
        "retry": _plain(wire.retry(first, queue=queue, delay="5s", message_id="r")).row(),
        "suspected": _plain(wire.suspected(first, queue=queue, message_id="s", suspicion=2)).row(),
        "event again": _plain(wire.again(delivery, queue=queue, message_id="a")).row(),
        "bundle again": _plain(wire.again(_delivered(broken), queue=queue, message_id="a")).row(),
        "event to its sink": [_plain(message).row() for message in wire.pack([late], ids)],
        "event of a bundle": encode_envelope(of_event).decode(),
        "dead": encode_envelope(wire.dead_envelope(first, reason="broken", stage=queue)).decode(),
        "dead event": encode_envelope(wire.dead_envelope(of_event, reason="gone", stage=queue)).decode(),
        "quarantined": encode_envelope(wire.quarantined(first, reason="odd", stage="dedupe")).decode(),
        "unreadable": [encode_envelope(one).decode() for one in wire.unpack(_delivered(broken), now, queue=queue)],
        "given up": [
            encode_envelope(one).decode() for one in wire.unpack(_delivered(dead), now, queue="callstitch.dead.v1")
        ],
        "packed": [
            _plain(one).row()
            for one in wire.pack([wire.dead_envelope(first, reason="broken", stage=queue), of_event], ids)
        ],
    }


def _object(text: bytes) -> dict[str, Any]:
    row: dict[str, Any] = orjson.loads(text)
    return row


def _asked(source: Source, notification: Notification) -> Asked | None:
    asks = _DIALECTS[source.platform].asks
    if asks is None or not isinstance(source, AskingSource) or not source.control:
        return None
    return asks.question(notification, source)


def _decision(answer: bytes) -> Decision:
    given = Answer.model_validate_json(answer)
    return Decision.model_validate(given.model_dump(include=set(Decision.model_fields)))


def _notification(push: Push) -> Notification:
    return Notification(
        path=push.path, remote="192.0.2.1", content_type=push.content_type, headers=push.headers, body=push.body
    )


def _reply(reply: Reply) -> list[Any]:
    return [reply.status, reply.content_type, reply.body.decode()]


def _plain(message: BrokerMessage) -> Message:
    return Message(
        exchange=message.exchange,
        routing_key=message.routing_key,
        body=message.body.decode(),
        content_type=message.content_type,
        message_id=message.message_id,
        headers=dict(message.headers),
    )


def _delivered(message: Message) -> Delivery:
    return Delivery(
        tag=1,
        generation=1,
        body=message.body.encode(),
        content_type=message.content_type,
        message_id=message.message_id,
        routing_key=message.routing_key,
        headers=message.headers,
    )
