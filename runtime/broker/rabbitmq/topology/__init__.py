"""The topology on RabbitMQ: declare it actively on an operator's word, else only look whether it is there.

Consumers and publishers declare nothing: a declaration that fails would be repeated at each reconnect
(docs/notes/amqp.md trap 11).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

import structlog
from aio_pika.abc import AbstractChannel
from aiormq import ChannelAccessRefused, ChannelLockedResource, ChannelNotFoundEntity, ChannelPreconditionFailed
from pamqp.common import FieldTable

from runtime.broker.rabbitmq.link import Link, gone_is_lost
from runtime.broker.rabbitmq.topology.arguments import LIMIT, may_have, policy, queue_arguments, unlimited
from schemas.errors import Misconfigured
from schemas.topology import Exchange, Queue, Topology

log = structlog.get_logger()

_REFUSALS: Final = (ChannelPreconditionFailed, ChannelAccessRefused, ChannelLockedResource, ChannelNotFoundEntity)
Look = Callable[[AbstractChannel, str], Awaitable[int]]


async def declare(link: Link, topology: Topology) -> None:
    """Create what is missing, unbind what is unbound.

    Raises:
        Misconfigured: something exists with other arguments, or may not be touched.
        Lost: the connection went away.
    """
    async with link.channel() as channel:
        version = await _major_version(channel)
        for exchange in topology.exchanges:
            with _refused(f"exchange {exchange.name}"):
                await _declare_exchange(channel, exchange)
        for queue in topology.queues:
            with _refused(f"queue {queue.name}"):
                await _declare_queue(link, queue, version)
        for binding in topology.bindings:
            with _refused(f"binding of {binding.queue} to {binding.exchange}"):
                bound = await channel.get_queue(binding.queue, ensure=False)
                await bound.bind(binding.exchange, binding.pattern)
        for binding in topology.unbound:
            with _refused(f"binding of {binding.queue} to {binding.exchange}"):
                bound = await channel.get_queue(binding.queue, ensure=False)
                await bound.unbind(binding.exchange, binding.pattern)


async def _declare_queue(link: Link, queue: Queue, version: int) -> None:
    """Each on a channel of its own, as a refusal costs it.

    A queue of RabbitMQ 3 has no word of a limit in its arguments, and 4, which will not have one added, now applies its
    own: what was delivered twenty times is dropped, unless a policy says otherwise (docs/notes/amqp.md trap 26).
    A downstream queue of before it had dead letters is taken as it is (`lossy` tells of it).
    """
    arguments = await _accepted(link, queue, version)
    if LIMIT not in arguments and unlimited(queue_arguments(queue, version)):
        log.warning("broker.queue_of_rabbitmq_3", queue=queue.name, needs='a policy {"delivery-limit": -1}')


async def _accepted(link: Link, queue: Queue, version: int) -> Mapping[str, Any]:
    """With which of the arguments that this queue may have it is declared; the last refusal is raised."""
    *several, last = may_have(queue, version)
    for arguments in several:
        with suppress(ChannelPreconditionFailed):
            return await _declared_with(link, queue, arguments)
    return await _declared_with(link, queue, last)


async def _declared_with(link: Link, queue: Queue, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    async with link.channel() as channel:
        await channel.declare_queue(queue.name, durable=True, arguments=dict(arguments))
    return arguments


async def lossy(link: Link, topology: Topology) -> Mapping[str, str]:
    """As `Broker` promises; a queue of which we may not tell is left out.

    Raises:
        Lost: the connection went away.
    """
    asked = {queue.name: queue for queue in topology.queues if queue.downstream and not queue.stream}
    found: dict[str, str] = {}
    for name in await _found(link, asked, _look_at_queue):
        with gone_is_lost():
            try:
                async with link.channel() as channel:
                    version = await _major_version(channel)
                if "x-dead-letter-exchange" not in await _accepted(link, asked[name], version):
                    found[name] = policy(asked[name], version, link.vhost)
            except _REFUSALS:
                continue
    return found


async def missing(link: Link, topology: Topology) -> Sequence[str]:
    """What of the topology's exchanges and queues is not there; changes nothing.

    Raises:
        Lost: the connection went away.
    """
    exchanges = [exchange.name for exchange in topology.exchanges]
    queues = [queue.name for queue in topology.queues]
    exchanges_there = await _found(link, exchanges, _look_at_exchange)
    queues_there = await _found(link, queues, _look_at_queue)
    return [
        *(f"exchange {name}" for name in exchanges if name not in exchanges_there),
        *(f"queue {name}" for name in queues if name not in queues_there),
    ]


async def differing(link: Link, topology: Topology) -> Sequence[str]:
    """What exists with other arguments, in the broker's words: declaring what exists changes nothing.

    Raises:
        Lost: the connection went away.
    """
    queues = await _found(link, [queue.name for queue in topology.queues], _look_at_queue)
    exchanges = await _found(link, [exchange.name for exchange in topology.exchanges], _look_at_exchange)
    there: list[Queue | Exchange] = [
        *(row for row in topology.exchanges if row.name in exchanges),
        *(row for row in topology.queues if row.name in queues),
    ]
    return [fault for row in there if (fault := await _fault(link, row))]


async def _fault(link: Link, row: Queue | Exchange) -> str:
    with gone_is_lost():
        try:
            async with link.channel() as channel:
                if isinstance(row, Exchange):
                    await _declare_exchange(channel, row)
                else:
                    await _declare_queue(link, row, await _major_version(channel))
        except ChannelPreconditionFailed as error:
            return f"{row.name} exists with other arguments: {error}"
        except (ChannelAccessRefused, ChannelLockedResource):
            return ""
    return ""


async def depths(link: Link, queues: Sequence[str]) -> Mapping[str, int]:
    """Messages ready in each of the queues that exist.

    Raises:
        Lost: the connection went away.
    """
    return await _found(link, queues, _look_at_queue)


async def consumers(link: Link, queues: Sequence[str]) -> Mapping[str, int]:
    """Consumers of each of the queues that exist.

    Raises:
        Lost: the connection went away.
    """
    return await _found(link, queues, _look_at_consumers)


async def delete(link: Link, queue: str) -> bool:
    """Whether the queue is gone now; it is deleted only when it is empty and nobody consumes it.

    Both are looked at first: a quorum queue is refused with `if-empty` (RabbitMQ 3.10: not implemented).

    Raises:
        Misconfigured: we may not.
        Lost: the connection went away.
    """
    for looked in (await depths(link, [queue]), await consumers(link, [queue])):
        if queue not in looked:
            return True
        if looked[queue]:
            return False
    with _refused(f"queue {queue}", "deleted"):
        async with link.channel() as channel:
            await channel.queue_delete(queue)
    return True


async def _declare_exchange(channel: AbstractChannel, exchange: Exchange) -> None:
    arguments: FieldTable | None = (
        {"alternate-exchange": exchange.alternate} if exchange.alternate is not None else None
    )
    await channel.declare_exchange(exchange.name, exchange.kind, durable=True, arguments=arguments)


@contextmanager
def _refused(what: str, done: str = "declared") -> Iterator[None]:
    with gone_is_lost():
        try:
            yield
        except _REFUSALS as error:
            raise Misconfigured(f"{what} cannot be {done}: {error}") from None


async def _found(link: Link, names: Iterable[str], look: Look) -> dict[str, int]:
    """The names that exist, with what a look at them tells; a look at a missing one costs its channel."""
    found: dict[str, int] = {}
    remaining = iter(names)
    gone: str | None = ""
    while gone is not None:
        async with link.channel() as channel:
            gone = await _first_missing(channel, remaining, look, found)
    return found


async def _first_missing(
    channel: AbstractChannel,
    names: Iterator[str],
    look: Look,
    found: dict[str, int],
) -> str | None:
    with gone_is_lost():
        for name in names:
            try:
                found[name] = await look(channel, name)
            except ChannelNotFoundEntity:
                return name
    return None


async def _look_at_queue(channel: AbstractChannel, name: str) -> int:
    return (await channel.declare_queue(name, passive=True)).declaration_result.message_count or 0


async def _look_at_consumers(channel: AbstractChannel, name: str) -> int:
    return (await channel.declare_queue(name, passive=True)).declaration_result.consumer_count or 0


async def _look_at_exchange(channel: AbstractChannel, name: str) -> int:
    await channel.declare_exchange(name, passive=True)
    return 0


async def _major_version(channel: AbstractChannel) -> int:
    below = await channel.get_underlay_channel()
    version = str(below.connection.server_properties.get("version", ""))
    major = version.partition(".")[0]
    return int(major) if major.isdigit() else 0
