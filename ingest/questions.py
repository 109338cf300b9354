"""Questions at the door: asks over the broker, with a deadline, while the caller listens (design section 6)."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Coroutine, Iterator
from typing import Any, Final

import orjson
import structlog
from pydantic import ValidationError

from ingest.group_commit import GroupCommit
from runtime.broker.base import Broker, Message
from runtime.telemetry import Telemetry
from runtime.verdict import reason_of
from schemas.config import Source
from schemas.envelope import Envelope, Kind, derived_id
from schemas.errors import Rejected, Unavailable
from schemas.facts import Decided, Fact, FactKind, encode_fact
from schemas.question import Answer, Asked, Decision, Question, decision_without_answer, fits
from schemas.topology import DECISIONS

log = structlog.get_logger()

DEADLINE_SECONDS: Final = 0.4
FACT_CONFIRM_SECONDS: Final = 5.0
FACT_PAUSE_SECONDS: Final = 1.0
FACT_TRIES: Final = 60  # some five minutes of an outage
CLOSE_SECONDS: Final = 3.0


class Questions:
    """Answers within the deadline, always; what was decided becomes a fact of its call or SMS."""

    def __init__(
        self, *, broker: Broker, commit: GroupCommit, message_ids: Iterator[str], telemetry: Telemetry
    ) -> None:
        self._broker = broker
        self._commit = commit
        self._ids = message_ids
        self._telemetry = telemetry
        self._after: set[asyncio.Task[None]] = set()  # what goes on after the answer

    async def decide(
        self, asked: Asked, source: Source, envelope: Envelope, storing: Coroutine[Any, Any, None]
    ) -> Decision:
        """The decision, while `storing` keeps the push; a confirm that is late does not keep the caller waiting.

        Then the 200 promises no storage, which is counted. Never raises for what others do.
        """
        started = time.monotonic()
        stored = self._go_on(self._kept(storing, source))
        decision, by = await self._answer(asked, source, envelope)
        milliseconds = round((time.monotonic() - started) * 1000)
        self._telemetry.decisions.labels(source.name, by).inc()
        self._telemetry.decision_seconds.labels(source.name).observe(milliseconds / 1000)
        fact = _decided(asked, source, envelope, decision, by=by, milliseconds=milliseconds)
        self._go_on(self._tell(fact))
        await asyncio.wait({stored}, timeout=max(DEADLINE_SECONDS - (time.monotonic() - started), 0))
        if not stored.done():
            self._telemetry.unpromised.labels(source.name).inc()
        return decision

    async def close(self) -> None:
        """Give what goes on after the answers a moment to end."""
        if self._after:
            await asyncio.wait(self._after, timeout=CLOSE_SECONDS)
        for task in self._after:
            task.cancel()

    async def _answer(self, asked: Asked, source: Source, envelope: Envelope) -> tuple[Decision, str]:
        try:
            reply = await self._broker.ask(self._message(asked, source, envelope), timeout_seconds=DEADLINE_SECONDS)
        except Unavailable as error:
            log.warning("question.not_asked", source=source.name, reason=reason_of(error))
            reply = None
        given = None if reply is None else _read(reply, source)
        if given is None or not fits(asked.kind, given):
            return decision_without_answer(asked.kind, source.default), "default"
        return Decision.model_validate(given.model_dump(include=set(Decision.model_fields))), given.by or "service"

    def _message(self, asked: Asked, source: Source, envelope: Envelope) -> Message:
        question = Question(
            id=envelope.id,
            source=source.name,
            platform=source.platform,
            kind=asked.kind,
            call_id=f"{source.name}:{asked.session_id}",
            caller=asked.caller,
            number=asked.number,
            extension=asked.extension,
            text=asked.text,
            asked_at=envelope.at.isoformat().replace("+00:00", "Z"),
            deadline_ms=round(DEADLINE_SECONDS * 1000),
        )
        return Message(
            exchange="",
            routing_key=DECISIONS,
            body=question.model_dump_json().encode(),
            content_type="application/json",
            message_id=next(self._ids),
        )

    def _go_on(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._after.add(task)
        task.add_done_callback(self._after.discard)
        return task

    async def _kept(self, storing: Coroutine[Any, Any, None], source: Source) -> None:
        try:
            await storing
        except Rejected as error:
            log.warning("question.not_stored", source=source.name, reason=str(error))

    async def _tell(self, fact: Envelope) -> None:
        """The broker may be away for a while; what a restart of the door loses is the decision in the record."""
        for _ in range(FACT_TRIES):
            try:
                await self._commit.store(fact, timeout_seconds=FACT_CONFIRM_SECONDS)
            except Unavailable as error:
                log.warning("decision.kept", source=fact.source, reason=reason_of(error))
                await asyncio.sleep(FACT_PAUSE_SECONDS)
            else:
                return
        log.error("decision.lost", source=fact.source, id=fact.id)


def _read(reply: bytes, source: Source) -> Answer | None:
    try:
        return Answer.model_validate_json(reply)
    except ValidationError as error:
        faults = [".".join(map(str, fault["loc"])) for fault in error.errors(include_input=False)]
        log.error("question.bad_answer", source=source.name, faults=faults)
        return None


def _decided(
    asked: Asked, source: Source, envelope: Envelope, decision: Decision, *, by: str, milliseconds: int
) -> Envelope:
    body = Decided(asked=asked.kind, action=decision.action, by=by, milliseconds=milliseconds, callee=decision.callee)
    fact = Fact(
        id=derived_id(envelope.id, "decided"),
        kind=FactKind.DECISION,
        source=source.name,
        platform=source.platform,
        session_id=asked.session_id,
        key=f"decided|{asked.key}",
        fingerprint=hashlib.sha256(orjson.dumps([envelope.id, body])).hexdigest(),
        at=envelope.at,
        body=body,
    )
    row = orjson.loads(encode_fact(fact))
    return Envelope(id=fact.id, kind=Kind.FACT, source=source.name, at=envelope.at, body=row, trace=envelope.trace)
