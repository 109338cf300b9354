"""The answer loop: question in, reply out, over request and reply on the broker; nothing is stored and nothing retried.

A question that nobody answers ends at the door's own deadline, so no failure here may do more than lose one answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog

from runtime.broker.base import Broker, Consumer, Delivery
from runtime.consume.waiting import next_batch
from runtime.telemetry.stage import StageMetrics
from runtime.verdict import reason_of
from schemas.stage import StageRow

log = structlog.get_logger()


class AnswerLoop:
    """One consumer of questions, running."""

    def __init__(
        self, *, stage: StageRow, answer: Callable[[bytes], bytes | None], broker: Broker, metrics: StageMetrics
    ) -> None:
        self.name = stage.name
        self._stage = stage
        self._answer = answer
        self._broker = broker
        self._metrics = metrics
        self._consumer: Consumer | None = None

    def answer_by(self, answer: Callable[[bytes], bytes | None]) -> None:
        """From the next question on."""
        self._answer = answer

    @property
    def ready(self) -> bool:
        """Whether it is subscribed now."""
        return self._consumer is not None and self._consumer.consuming

    @property
    def paused(self) -> bool:
        """Never."""
        return False

    @property
    def away(self) -> bool:
        """Never."""
        return False

    @property
    def full(self) -> bool:
        """Never."""
        return False

    async def run(self, stopping: asyncio.Event) -> None:
        """Answer until `stopping`, then what was already here."""
        async with self._broker.consume(self._stage.queue, prefetch=self._stage.prefetch) as consumer:
            self._consumer = consumer
            try:
                while (questions := await next_batch(consumer, self._stage.most, stopping)) is not None:
                    await self._settle(consumer, questions)
                if left := await consumer.stop():
                    await self._settle(consumer, left)
                self._metrics.line.tell()
            finally:
                self._consumer = None

    async def _settle(self, consumer: Consumer, questions: Sequence[Delivery]) -> None:
        """All at once: a reply that is confirmed late keeps no other waiting."""
        started = time.perf_counter()
        taken = self._metrics.took(len(questions), 0.0)
        async with asyncio.TaskGroup() as replying:
            for question in questions:
                replying.create_task(self._reply(question))
        self._metrics.handled(len(questions), time.perf_counter() - started)
        await consumer.ack(questions)
        self._metrics.settled(taken)

    async def _reply(self, question: Delivery) -> None:
        try:
            answer = self._answer(question.body)
            if answer is not None:
                await self._broker.reply(question, answer)
        except Exception as error:  # noqa: BLE001 - one question must not end the answers to all others
            log.error("question.not_answered", stage=self.name, reason=reason_of(error))
