"""Queues and bindings that we declared once and that the config no longer wants: told, unbound, deleted.

Only what the store's record says that we declared (workers.stores.declared): a queue of somebody else's is never
touched, whatever its name.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

from console.admission.moving import as_declared, declared_before, serve
from runtime.broker.base import Broker, Message
from runtime.events.messages import OUR_QUEUES
from runtime.wire import (
    LETTER_BYTES,
    dead_envelope,
    each_alone,
    monotonic_message_ids,
    pack,
    too_large,
    unpack,
)
from schemas.envelope import Envelope, Kind
from schemas.errors import Misconfigured, Refused
from schemas.topology import RETRY_DELAYS, Binding, Topology, edge_stage, retry_queue
from workers.config import Config, config_topology, outlets_of
from workers.stores import open_declared, open_forms, open_reads
from workers.stores.declared import Since, queue_row, queues_in, rows_of, since_in, since_row

REASON: Final = "its sink or queue is no longer in the config"
_AT_ONCE: Final = 100
_QUIET_SECONDS: Final = 2.0
_QUIET_LOOKS: Final = 3
_LOOK_AGAIN_SECONDS: Final = 0.1
_LOOKS: Final = 50


def leftovers(rows: Iterable[Binding], wanted: Topology) -> list[str]:
    """The queues that we declared and that the config no longer wants."""
    there = {queue.name for queue in wanted.queues}
    return [queue for queue in queues_in(rows) if queue not in there]


def told_of(queues: Mapping[str, int]) -> Iterable[str]:
    """A sentence for each leftover that exists, with what it holds."""
    for queue, held in queues.items():
        yield f"left over: {queue} is not in the config any more and holds {held} message(s)"


async def declare(config: Config, broker: Broker) -> Mapping[str, int]:
    """Declare what the config needs and unbind what it no longer wants; leftovers that exist, with what they hold.

    It is recorded first, so that nothing is ever declared and unknown; what a consumer is moved to is bound before that
    from which it is moved is unbound.

    Raises:
        Misconfigured, Unavailable: the broker or the store refuses us or does not answer.
    """
    async with open_declared(config.store) as record, open_forms(config.store) as forms:
        known = await record.declared()
        before = await declared_before(broker, config)
        wanted = config_topology(as_declared(config, known, before))
        rows, exchanges = rows_of(wanted), {exchange.name for exchange in wanted.exchanges}
        await record.record([*rows, *await _news(config, known, before)])
        stale = [row for row in known if row not in rows and row.exchange in exchanges]
        there = await broker.depths([row.queue for row in stale])
        unbound = [row for row in stale if row.queue in there]
        await broker.declare(replace(wanted, unbound=()))
        await serve(forms, wanted.forms, first=not before, unbinding=bool(unbound))
        await broker.declare(Topology(unbound=(*wanted.unbound, *unbound)))
        await record.forget([*stale, *_gone(config, known)])
    return await broker.depths(leftovers(known, wanted))


async def _news(config: Config, known: Sequence[Binding], before: Collection[str]) -> list[Binding]:
    """From when on the events of each outlet are counted of which that is not known yet."""
    told, there = since_in(known), {*before, *queues_in(known)}
    news = [queue for queue in outlets_of(config) if queue not in told]
    if not news:
        return []
    now, last = datetime.now(UTC), await _last_row(config)
    return [since_row(queue, Since(at=now, row=last, bound=queue not in there)) for queue in news]


async def _last_row(config: Config) -> int:
    try:
        async with open_reads(config.store) as reads:
            return await reads.last_row()
    except Misconfigured:  # no correlate has ever run there
        return 0


def _gone(config: Config, known: Iterable[Binding]) -> list[Binding]:
    """Who comes back is bound anew then."""
    there = outlets_of(config)
    return [since_row(queue, since) for queue, since in since_in(known).items() if queue not in there]


async def prune(config: Config, broker: Broker, *, force: bool) -> AsyncIterator[str]:
    """Delete the leftovers, unbound already, that are seen empty and without a consumer; a sentence for each.

    `force`: what one holds goes to the dead letters first, each message confirmed before it is acked.

    Raises:
        Misconfigured, Unavailable: the broker or the store refuses us or does not answer.
    """
    async with open_declared(config.store) as record:
        known = await record.declared()
        for queue in leftovers(known, config_topology(config)):
            kept = await _kept_because(broker, queue, force=force)
            if not kept and await broker.delete(queue):
                await record.forget([row for row in known if row.queue == queue] or [queue_row(queue)])
                yield f"deleted {queue}"
            else:
                yield f"kept {queue}: {kept or 'it is in use'}"


async def _kept_because(broker: Broker, queue: str, *, force: bool) -> str:
    """Why this queue must not be deleted; with `force` it is empty afterwards."""
    if (await broker.consumers([queue])).get(queue, 0):
        return "somebody consumes it"
    if queue.startswith(OUR_QUEUES):  # a retry that found its queue gone would block all behind it
        waiting = await broker.depths([retry_queue(delay) for delay in RETRY_DELAYS if retry_queue(delay) != queue])
        if busy := [name for name, held in waiting.items() if held]:
            return f"retries that may be for it wait in {', '.join(busy)}"
    held = (await broker.depths([queue])).get(queue, 0)
    if held and not force:
        return f"it holds {held} message(s); with --force they go to the dead letters first"
    if held:
        await _to_the_dead_letters(broker, queue)
        await _without_us(broker, queue)
        if (await broker.depths([queue])).get(queue, 0):
            return "it gives nothing away, as a stream does not: it is yours to delete"
    return ""


async def _without_us(broker: Broker, queue: str) -> None:
    """Our own subscription ends a moment after we are done."""
    for _ in range(_LOOKS):
        if not (await broker.consumers([queue])).get(queue, 0):
            return
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)


async def _to_the_dead_letters(broker: Broker, queue: str) -> None:
    """All that comes; of a stream nothing does, to whoever does not say from where."""
    ids, quiet = monotonic_message_ids(uuid4().hex[:12]), 0
    async with broker.consume(queue, prefetch=_AT_ONCE) as consumer:
        while quiet < _QUIET_LOOKS:
            try:
                async with asyncio.timeout(_QUIET_SECONDS):
                    deliveries = await consumer.batch(_AT_ONCE)
            except TimeoutError:
                if not (await broker.depths([queue])).get(queue, 0):
                    return
                quiet += 1
                continue
            quiet = 0
            now = datetime.now(UTC)
            found = [envelope for delivery in deliveries for envelope in unpack(delivery, now, queue=queue)]
            await _publish(broker, pack(_dead(found, queue), ids), queue, ids)
            await consumer.ack(deliveries)


async def _publish(broker: Broker, messages: Sequence[Message], queue: str, ids: Iterator[str]) -> None:
    """What the broker does not take, as its own dead letter may be too large, is told in a small one."""
    while messages:
        try:
            await broker.publish(messages)
        except Refused as error:
            refused = [one for one in messages if one.message_id in error.message_ids]
            if any(len(one.body) <= LETTER_BYTES for one in refused):
                raise Misconfigured(f"the broker takes no dead letter of {LETTER_BYTES} bytes") from None
            at = datetime.now(UTC)
            still_open = [one for one in messages if one.message_id in error.open_ids]
            letters = [
                letter
                for one in refused
                for letter in each_alone(one, ids) or pack([too_large(one, stage=queue, at=at)], ids)
            ]
            messages = [*still_open, *letters]
        else:
            return


def _dead(found: Sequence[Envelope], queue: str) -> list[Envelope]:
    stage = queue if queue.startswith(OUR_QUEUES) else edge_stage(queue)
    return [one if one.kind == Kind.DEAD else dead_envelope(one, reason=REASON, stage=stage) for one in found]
