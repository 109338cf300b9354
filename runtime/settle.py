"""Settling: the one place that decides when a message is acked.

Every envelope of a batch ends as output, retry, dead letter or quarantine; all of these are confirmed by the broker;
`published` runs; then the batch is acked. Whatever dies in between leaves the batch unacked, and it comes again.
Cancellation settles nothing.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Final

import structlog

from runtime.bench import Bench
from runtime.broker.base import Consumer, Delivery, Message
from runtime.events.batch import events_held
from runtime.events.fed import fed_messages
from runtime.events.messages import event_messages
from runtime.events.room import Room, Wait
from runtime.verdict import DeadLetter, PutBack, Quarantine, Retry, reason_of, verdict
from runtime.wire import LETTER_BYTES, dead_envelope, each_alone, pack, put_back, quarantined, retry, too_large
from schemas.envelope import Envelope, Kind
from schemas.errors import Refused, Transient, Unavailable, Unconfirmed, Unroutable
from schemas.stage import Failed, Fed
from schemas.topology import DEAD, SINGLY, UNWANTED_IF_UNBOUND, Forms

log = structlog.get_logger()

FIRST_BACKOFF_SECONDS: Final = 0.2
LEAST_PAUSE_SECONDS: Final = 1.0
LONGEST_BACKOFF_SECONDS: Final = 5.0  # work has to go on within 10 s of the end of an outage, however long that was


def backoffs() -> Iterator[float]:
    """Seconds to wait before each further try: doubling up to the longest, the upper half of it jitter, for ever."""
    ceiling = FIRST_BACKOFF_SECONDS
    while True:
        yield random.uniform(ceiling / 2, ceiling)  # noqa: S311 - jitter, not a secret
        ceiling = min(ceiling * 2, LONGEST_BACKOFF_SECONDS)


class Settler:
    """Publishes what follows from a batch and acks it."""

    def __init__(self, bench: Bench, *, pauses: Callable[[], Iterator[float]] = backoffs) -> None:
        self._bench = bench
        self._name = bench.spec.name
        self._queue = bench.spec.queue
        self._pauses = pauses
        self._stuck = 0
        self.put_off: set[str] = set()  # the tiers in which it put what failed, but not for its own sake
        self._room = Room(self._name, bench.metrics, pauses)

    @property
    def stuck(self) -> bool:
        """Whether something is published again and again: its exchange is missing, or a queue refuses it."""
        return self._stuck > 0

    @property
    def full(self) -> bool:
        """Whether the downstream queue that it feeds has no room: that is its reader's business."""
        return self._room.full

    async def settle(
        self,
        consumer: Consumer,
        deliveries: Sequence[Delivery],
        outcome: Sequence[Envelope | Failed],
        *,
        work: Sequence[Envelope] = (),
        stopping: asyncio.Event | None = None,
    ) -> None:
        """Publish all that follows from these deliveries, then ack them; `work` is what they held.

        For room in a queue that is fed it waits until `stopping` at most.
        """
        if fed := [item for item in outcome if isinstance(item, Fed)]:
            left = await self._feed(fed, stopping or asyncio.Event())
            outcome = [*(item for item in outcome if not isinstance(item, Fed)), *left]
        await self.send(outcome, work=work)
        await consumer.ack(deliveries)
        self._bench.crash("after_ack", work)

    async def _feed(self, fed: Sequence[Fed], over: asyncio.Event) -> list[Failed]:
        """Fill the queue in steps, so that it takes little more than it has room for; what goes back."""
        made = fed_messages(fed, self._bench.message_ids)
        wait, step = self._room.wait(over), self._bench.spec.step
        taken: list[Envelope] = []
        for start in range(0, len(made), step):
            some = {message.message_id: (message, held) for message, held in made[start : start + step]}
            left = {one.message_id for one in await self.publish([one for one, _ in some.values()], wait=wait)}
            if left <= some.keys():  # else a message was taken apart, and a copy does no harm
                taken += [one for message_id, (_, held) in some.items() if message_id not in left for one in held]
            if left:
                break
        gone = {id(one) for one in taken}
        self._bench.metrics.produced([one for one in fed if id(one.of) in gone])
        full = Unavailable("the queue is full")
        return [Failed(one.of, full) for one in fed if id(one.of) not in gone]

    async def send(self, outcome: Sequence[Envelope | Failed], *, work: Sequence[Envelope]) -> None:
        """Publish until everything is confirmed, then tell the stage."""
        outputs = [item for item in outcome if isinstance(item, Envelope)]
        messages: list[Message] = []
        for item in outcome:
            if isinstance(item, Failed):
                messages += self._after_failure(item)
        events = [envelope for envelope in outputs if envelope.kind == Kind.EVENT]
        forms = await self._forms() if events else SINGLY
        messages += pack(outputs, self._bench.message_ids, forms)
        await self.publish(messages)
        if events:
            await self._keep_up(events, forms)
        self._bench.crash("after_publish", work)
        self._bench.metrics.produced(outputs)
        if self._bench.stage.published is not None and outputs:
            await self._mark(tuple(envelope.id for envelope in outputs))
        self._bench.crash("after_mark", work)

    async def _keep_up(self, events: Sequence[Envelope], forms: Forms) -> None:
        """Publish these in what other forms came to be wanted until all were confirmed."""
        while (later := await self._forms()) != forms:
            await self.publish(event_messages(events, self._bench.message_ids, later, but=forms))
            forms = later

    async def _forms(self) -> Forms:
        """In which forms events go out, for as long as a lease; what is not known is waited for."""
        waiting, failed = self._pauses(), 0
        try:
            while True:
                try:
                    return await self._bench.forms()
                except Unavailable as error:
                    log.warning("publish.forms_unknown", stage=self._name, reason=str(error))
                self._stuck += 1 - failed
                failed = 1
                await asyncio.sleep(next(waiting))
        finally:
            self._stuck -= failed

    async def _mark(self, ids: Sequence[str]) -> None:
        assert self._bench.stage.published is not None
        try:
            await self._bench.stage.published(ids)
        except Exception as error:  # noqa: BLE001 - a mark that is lost costs one duplicate publish, never an event
            log.warning("stage.mark_failed", stage=self._name, error=reason_of(error))

    def _after_failure(self, failed: Failed) -> list[Message]:
        envelope = failed.envelope
        reason = reason_of(failed.error)
        match verdict(failed.error, envelope.attempt, self._bench.spec.policy):
            case Retry(delay):
                self._bench.metrics.retried()
                if not (isinstance(failed.error, Transient) and failed.error.alone):
                    self.put_off.add(delay)
                log.info("envelope.retry", stage=self._name, id=envelope.id, attempt=envelope.attempt,
                         delay=delay, reason=reason)  # fmt: skip
                return [retry(envelope, queue=self._queue, delay=delay, message_id=next(self._bench.message_ids))]
            case PutBack():
                return [put_back(envelope, queue=self._queue, message_id=next(self._bench.message_ids))]
            case Quarantine(why):
                self._bench.metrics.quarantined()
                return pack([quarantined(envelope, reason=why, stage=self._name)], self._bench.message_ids)
            case DeadLetter(why):
                self._bench.metrics.dead()
                log.error("envelope.dead", stage=self._name, id=envelope.id, attempt=envelope.attempt, reason=why)
                return pack([dead_envelope(envelope, reason=why, stage=self._queue)], self._bench.message_ids)

    async def publish(self, messages: Sequence[Message], *, wait: Wait | None = None) -> Sequence[Message]:
        """Publish the same bytes until all of them are confirmed; ends only in success or cancellation.

        Whatever the outcome of the last try was (docs/notes/amqp.md trap 6), the ids stay the same, and a copy does no
        harm. A returned progress event is counted as unwanted; any other returned message waits for its queue. What
        the broker will never take is told in a dead letter, so that no message can keep the others waiting. With a
        `wait` what the queue has no room for, when that is over, is returned.
        """
        waiting, failed = self._pauses(), 0
        try:
            while messages:
                queue = messages[0].routing_key
                messages, full = await self._left(messages, quiet=wait is not None)
                if wait is not None and messages and full:
                    self._stuck, failed = self._stuck - failed, 0
                    wait.room.none(queue)
                    if not await wait.may_try(len(messages)):
                        return messages
                elif messages:
                    self._stuck += 1 - failed
                    failed = 1
                    await self._pause(next(waiting))
                elif wait is not None:
                    wait.room.some(queue)
        finally:
            self._stuck -= failed
        return ()

    async def _left(self, messages: Sequence[Message], *, quiet: bool) -> tuple[Sequence[Message], bool]:
        """What has to be published again after one try, and a pause; whether because a queue is full."""
        while messages:
            try:
                await self._bench.broker.publish(messages)
            except Refused as error:
                refused = [m for m in messages if m.message_id in error.message_ids]
                still_open = [m for m in messages if m.message_id in error.open_ids]
                messages = [*still_open, *self._after_refusal(refused)]
            except Unroutable as error:
                left = [m for m in messages if m.message_id in error.message_ids and not self._unwanted(m)]
                if left:
                    log.error("publish.unroutable", stage=self._name, messages=len(left),
                              route=left[0].routing_key or left[0].exchange)  # fmt: skip
                return left, False
            except Unconfirmed as error:
                if error.message_ids:
                    messages = [m for m in messages if m.message_id in error.message_ids]
                full = error.why == "refused"
                if not (full and quiet):
                    log.warning("publish.unconfirmed", stage=self._name, messages=len(messages), reason=str(error))
                return messages, full
            else:
                break
        return (), False

    def _after_refusal(self, refused: Sequence[Message]) -> list[Message]:
        """Bundles one by one, and dead letters of what stands alone; for one that is refused itself, only the log."""
        letters: list[Envelope] = []
        smaller: list[Message] = []
        for message in refused:
            if parts := each_alone(message, self._bench.message_ids):
                smaller += parts
                continue
            self._bench.metrics.dead()
            letter = too_large(message, stage=self._queue, at=self._bench.clock())
            log.error("publish.too_large", stage=self._name, bytes=len(message.body), id=letter.id,
                      route=message.routing_key or message.exchange)  # fmt: skip
            if message.routing_key != DEAD or len(message.body) > LETTER_BYTES:
                letters.append(letter)
        return [*smaller, *pack(letters, self._bench.message_ids)]

    async def _pause(self, seconds: float) -> None:
        """Wait, but not on once a broker that was away is back: its connections come back with jitter of their own.

        The least pause is for a broker that hangs up at each of our publishes.
        """
        least = asyncio.sleep(min(seconds, LEAST_PAUSE_SECONDS))
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(self._bench.broker.recovered(), least)

    def _unwanted(self, message: Message) -> bool:
        if not message.routing_key.startswith(UNWANTED_IF_UNBOUND):
            return False
        self._bench.metrics.unwanted(events_held(message))
        return True
