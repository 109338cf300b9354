"""Faults on purpose, so that the demo can prove that its check can fail: SABOTAGE=drop|double|ack_first make demo.

Inert unless CALLSTITCH_SABOTAGE is set; only `up` and `work` ask. `make chaos` proves its checker with it too.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final, Protocol

import orjson

from runtime.broker.base import Broker, Consumer, Delivery
from schemas.envelope import Envelope, Kind, derived_id
from schemas.errors import Misconfigured
from schemas.facts import FactKind
from schemas.stage import Outcome, Stage
from schemas.topology import RECEIVED, UNIQUE

VARIABLE: Final = "CALLSTITCH_SABOTAGE"
EVERY: Final = 25  # every 25th CDR is hit
CRASH_AFTER: Final = 40  # CDRs that pass before the crash of ack_first
CRASH_CODE: Final = 137
ACK_SECONDS: Final = 0.5  # brokers take an ack some time after it was given: dying at once would lose the ack instead


class Sabotage(Protocol):
    """A wrap round the broker and round each stage."""

    def broker(self, broker: Broker) -> Broker:
        """The broker, or one that misbehaves."""
        ...

    def stage(self, name: str, stage: Stage) -> Stage:
        """The stage of that name, or one that misbehaves."""
        ...


def chosen_sabotage(environ: Mapping[str, str] = os.environ) -> Sabotage | None:
    """What the environment asks for; None without the variable.

    Raises:
        Misconfigured: no such sabotage.
    """
    name = environ.get(VARIABLE)
    if not name:
        return None
    if name not in _KINDS:
        raise Misconfigured(f"{VARIABLE} must be one of {', '.join(_KINDS)}")
    return _KINDS[name]()


class _Drop:
    """correlate never sees every 25th CDR: a lost bill."""

    def __init__(self) -> None:
        self._seen = 0

    def broker(self, broker: Broker) -> Broker:
        return broker

    def stage(self, name: str, stage: Stage) -> Stage:
        if name != "correlate":
            return stage

        async def handle(batch: Sequence[Envelope]) -> Outcome:
            return await stage.handle([envelope for envelope in batch if not self._hit(envelope)])

        return replace(stage, handle=handle)

    def _hit(self, envelope: Envelope) -> bool:
        self._seen += _is_cdr(envelope)
        return _is_cdr(envelope) and self._seen % EVERY == 0


class _Double:
    """dedupe passes every 25th CDR on twice, the copy under another record id: a call billed twice."""

    def __init__(self) -> None:
        self._seen = 0

    def broker(self, broker: Broker) -> Broker:
        return broker

    def stage(self, name: str, stage: Stage) -> Stage:
        if name != "dedupe":
            return stage

        async def handle(batch: Sequence[Envelope]) -> Outcome:
            outcome = await stage.handle(batch)
            return [*outcome, *(copy for item in outcome for copy in self._copies(item))]

        return replace(stage, handle=handle)

    def _copies(self, item: object) -> Sequence[Envelope]:
        if not isinstance(item, Envelope) or not _is_cdr(item):
            return []
        self._seen += 1
        if self._seen % EVERY:
            return []
        fact = _fact(item)
        fact["key"] += "-again"
        fact["body"]["record_id"] += "-again"
        return [replace(item, id=derived_id(item.id, "again"), body=fact)]


class _AckFirst:
    """What correlate works on is acked before that is done, and the process dies once in between: a lost batch.

    It comes from its own queue, or from that of dedupe where both are one process.
    """

    def __init__(self) -> None:
        self._seen = 0

    def broker(self, broker: Broker) -> Broker:
        return _AckFirstBroker(broker)

    def stage(self, name: str, stage: Stage) -> Stage:
        if name != "correlate":
            return stage

        async def handle(batch: Sequence[Envelope]) -> Outcome:
            self._seen += sum(_is_cdr(envelope) for envelope in batch)
            if self._seen >= CRASH_AFTER:
                await asyncio.sleep(ACK_SECONDS)
                os._exit(CRASH_CODE)
            return await stage.handle(batch)

        return replace(stage, handle=handle)


class _AckFirstBroker:
    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)

    @asynccontextmanager
    async def consume(self, queue: str, *, prefetch: int) -> AsyncIterator[Consumer]:
        async with self._broker.consume(queue, prefetch=prefetch) as consumer:
            yield _AckFirstConsumer(consumer) if queue in (RECEIVED, UNIQUE) else consumer


class _AckFirstConsumer:
    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)

    async def batch(self, most: int) -> Sequence[Delivery]:
        deliveries = await self._consumer.batch(most)
        await self._consumer.ack(deliveries)
        return deliveries

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Already done, far too early."""


def _is_cdr(envelope: Envelope) -> bool:
    return envelope.kind == Kind.FACT and bool(_fact(envelope)["kind"] == FactKind.CDR)


def _fact(envelope: Envelope) -> dict[str, Any]:
    fact: dict[str, Any] = orjson.loads(envelope.body) if isinstance(envelope.body, bytes) else envelope.body
    return fact


_KINDS: Final[Mapping[str, type[_Drop | _Double | _AckFirst]]] = {
    "drop": _Drop,
    "double": _Double,
    "ack_first": _AckFirst,
}
