"""Questions at the door: asks over the broker, with a deadline, while the caller listens (docs/design.md section 6)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from functools import partial
from typing import Any, Final, Protocol

import structlog
from pydantic import ValidationError

from ingest.decision_fact import decision_fact
from ingest.group_commit import GroupCommit
from runtime import drain
from runtime.broker.base import Message
from runtime.telemetry import Telemetry
from runtime.verdict import reason_of
from schemas.envelope import Envelope
from schemas.notification import Reply
from schemas.numbers import e164
from schemas.question import Answer, Asked, Decision, Question, decision_without_answer, fits, refusal
from schemas.settings.source import AskingSource
from schemas.topology import DECISIONS
from schemas.vocabulary import DecidedBy

log = structlog.get_logger()

DEADLINE_SECONDS: Final = 0.4
FACT_CONFIRM_SECONDS: Final = 5.0
PAUSE_SECONDS: Final = 1.0
TRIES: Final = 60  # some five minutes of an outage
WAITING_MOST: Final = 5000  # pushes and decisions that wait for the broker; those beyond get one try

Respond = Callable[[Decision], Reply]  # what the platform hears of a decision
Store = Callable[[], Awaitable[None]]


class Asking(Protocol):
    """What questions need of a broker."""

    async def ask(self, question: Message, *, timeout_seconds: float) -> bytes | None:
        """See `runtime.broker.base.Broker.ask`."""
        ...


class Questions:
    """Answers within the deadline, always; what was decided becomes a fact of its call or SMS."""

    def __init__(
        self,
        *,
        broker: Asking,
        commit: GroupCommit,
        message_ids: Iterator[str],
        telemetry: Telemetry,
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> None:
        self._broker = broker
        self._commit = commit
        self._ids = message_ids
        self._telemetry = telemetry
        self._deadline = deadline_seconds
        self._after: set[asyncio.Task[bool]] = set()  # what goes on after the answer

    async def answer(
        self, asked: Asked, source: AskingSource, envelope: Envelope, *, store: Store, respond: Respond
    ) -> Reply:
        """What the platform hears, by `respond`; a confirm that is late does not keep the caller waiting.

        Then the 200 promises no storage, which is counted; `store` is tried again for as long as the fact is, because
        a platform that heard 200 repeats nothing. Never raises for what others do.
        """
        started = time.monotonic()
        stored = self._go_on(self._stored_at_last("push", source.name, store))
        decision, by = await self._decide(asked, source, envelope, respond)
        seconds = time.monotonic() - started
        self._telemetry.decisions.labels(source.name, by).inc()
        self._telemetry.decision_seconds.labels(source.name).observe(seconds)
        fact = decision_fact(asked, source, envelope, decision, by=by, milliseconds=round(seconds * 1000))
        store_fact = partial(self._commit.store, fact, timeout_seconds=FACT_CONFIRM_SECONDS)
        self._go_on(self._stored_at_last("decision", source.name, store_fact))
        await asyncio.wait({stored}, timeout=max(self._deadline - (time.monotonic() - started), 0))
        if not (stored.done() and stored.result()):
            self._telemetry.unpromised.labels(source.name).inc()
        return respond(decision)

    async def close(self) -> None:
        """Give what goes on after the answers a moment to end."""
        waiting = tuple(self._after)
        if waiting:
            await asyncio.wait(waiting, timeout=drain.AFTER_ANSWERS)
        if left := [task for task in waiting if not task.done()]:
            log.error("questions.lost_at_close", count=len(left))
        for task in left:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    async def _decide(
        self, asked: Asked, source: AskingSource, envelope: Envelope, respond: Respond
    ) -> tuple[Decision, DecidedBy]:
        answer = await self._ask(self._message(asked, source, envelope), source)
        if answer is not None:
            decision = _bare(answer)
            if _suits(asked, decision, respond):
                return decision, answer.by or "service"
            log.error("question.bad_answer", source=source.name, faults=["it does not fit the question"])
        default = _bare(decision_without_answer(asked.kind, source.default))
        return default if _suits(asked, default, respond) else refusal(asked.kind), "default"

    async def _ask(self, question: Message, source: AskingSource) -> Answer | None:
        try:
            reply = await self._broker.ask(question, timeout_seconds=self._deadline)
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller is not kept waiting for our bugs
            log.error("question.not_asked", source=source.name, reason=reason_of(error))
            return None
        return None if reply is None else _read(reply, source)

    def _message(self, asked: Asked, source: AskingSource, envelope: Envelope) -> Message:
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
            deadline_ms=round(self._deadline * 1000),
        )
        return Message(
            exchange="",
            routing_key=DECISIONS,
            body=question.model_dump_json().encode(),
            content_type="application/json",
            message_id=next(self._ids),
        )

    def _go_on(self, work: Coroutine[Any, Any, bool]) -> asyncio.Task[bool]:
        task = asyncio.create_task(work)
        self._after.add(task)
        task.add_done_callback(self._after.discard)
        return task

    async def _stored_at_last(self, what: str, source: str, store: Store) -> bool:
        """Whether it was stored: the broker may be away for a while, and a restart of the door ends that."""
        tries = TRIES if len(self._after) <= WAITING_MOST else 1
        for attempt in range(1, tries + 1):
            try:
                await store()
            except Exception as error:  # noqa: BLE001 - the caller has been answered: nobody else would see it
                if attempt == 1:
                    log.warning("question.waits_for_storage", source=source, what=what, reason=reason_of(error))
                if attempt < tries:
                    await asyncio.sleep(PAUSE_SECONDS)
            else:
                return True
        log.error("question.not_stored", source=source, what=what, tries=tries)
        return False


def _read(reply: bytes, source: AskingSource) -> Answer | None:
    """Faults are logged by field and kind: the values are a customer's numbers."""
    try:
        return Answer.model_validate_json(reply)
    except ValidationError as error:
        faults = [f"{fault['loc'][0] if fault['loc'] else 'it'}: {fault['type']}" for fault in _faults(error)]
        log.error("question.bad_answer", source=source.name, faults=faults)
        return None


def _faults(error: ValidationError) -> Any:
    return error.errors(include_url=False, include_context=False, include_input=False)


def _bare(answer: Decision) -> Decision:
    """Without what only an answer or a rule has; the callee as in the record."""
    decision = Decision.model_validate(answer.model_dump(include=set(Decision.model_fields)))
    return decision if decision.callee is None else decision.model_copy(update={"callee": e164(decision.callee)})


def _suits(asked: Asked, decision: Decision, respond: Respond) -> bool:
    """Whether the platform hears this decision, and not the refusal that its dialect makes of what does not fit.

    A callee that the platform would not take, or none, would else stand in the record as connected.
    """
    if not fits(asked.kind, decision):
        return False
    action = refusal(asked.kind).action
    return decision.action == action or respond(decision) != respond(decision.model_copy(update={"action": action}))
