"""What a broker promises to everything else; `rabbitmq` and `embedded` pass one contract suite.

Nothing outside this folder imports an AMQP client. The promise in one line: `publish` returns only when every
message is stored (fsynced) in a queue, and a delivery that was not acked comes back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import islice
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

from schemas.topology import Topology

BATCH_BYTES: Final = 1024 * 1024  # decoded, that is some 20 times as much memory
MESSAGE_BYTES: Final = 15 * 1024 * 1024  # of a body; RabbitMQ 4 takes 16 MiB, as its max_message_size says
ROUTE: Final = "callstitch_route"  # header: the routing key of the events, where the message's own names a queue
EVENTS_HELD: Final = "callstitch_events"  # header: how many events a message holds, where that may be more than one
DIED_IN: Final = "x-first-death-queue"  # headers that the broker itself adds to what it moves to the dead letters
DEATH: Final = "x-first-death-reason"
LAST_DIED_IN: Final = "x-last-death-queue"
LAST_DEATH: Final = "x-last-death-reason"
NO_HEADERS: Final[Mapping[str, str | int]] = MappingProxyType({})


class Message(NamedTuple):
    """One message to publish; always persistent and mandatory.

    `message_id` is what errors name it by; it is unique, but the same Message may be published again, also at once.
    RabbitMQ is told it too, except of one event, which has its own id there. Header values are str or int.
    `properties`: those of a message that goes back to its queue as it was, by AMQP's names for them; None: as ours are.
    """

    exchange: str
    routing_key: str
    body: bytes
    content_type: str
    message_id: str
    headers: Mapping[str, str | int] = NO_HEADERS
    properties: Mapping[str, str | int] | None = None


class Delivery(NamedTuple):
    """One message handed to a consumer.

    `tag` grows within one consumer and has no meaning outside it. `deliveries` counts how often the message
    has been handed out, this time included, as far as the broker knows (RabbitMQ: x-delivery-count + 1).
    `generation` counts the subscriptions of its consumer, from 1: what came by an earlier one can no longer be settled.
    `headers` may lack what an event's repeat of its body.
    `properties`: what else AMQP says of it, by name (`type`, `timestamp`, ...); read of a dead letter alone.
    """

    tag: int
    generation: int
    body: bytes
    content_type: str
    message_id: str
    routing_key: str
    headers: Mapping[str, str | int]
    deliveries: int = 1
    reply_to: str = ""
    correlation_id: str = ""
    properties: Mapping[str, str | int] = NO_HEADERS

    @property
    def events(self) -> int:
        """How many events it says it holds, and 1 where it says nothing."""
        held = self.headers.get(EVENTS_HELD, 1)
        return max(held, 1) if isinstance(held, int) else 1


class Consumer(Protocol):
    """One subscription to one queue: buffers what arrives, hands out batches, settles by hand.

    It survives the loss of connection, channel, queue or broker by subscribing again by itself.
    Deliveries of before the loss are forgotten: `ack` and `release` ignore them, and the broker hands them out again.
    """

    async def batch(self, most: int) -> Sequence[Delivery]:
        """Up to `most` consecutive deliveries and BATCH_BYTES, at least one; waits until there is one.

        One that holds several events counts as so many.

        Raises:
            Unavailable: it cannot consume now; calling again waits for the recovery.
        """
        ...

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Done for good. One `multiple` ack when they are the oldest unsettled ones, else one ack each.

        Stale deliveries are ignored (they will be redelivered), and a lost channel raises nothing.
        """
        ...

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        """Put back to the queue, for this or another consumer."""
        ...

    async def stop(self) -> Sequence[Delivery]:
        """Stop receiving; returns what is buffered and was not handed out, still to be acked or released."""
        ...

    @property
    def buffered(self) -> bool:
        """Whether `batch` would return at once."""
        ...

    @property
    def consuming(self) -> bool:
        """Whether the broker currently knows this subscription (readiness)."""
        ...


class Broker(Protocol):
    """A broker, opened as an async context by wiring; separate connections publish and consume."""

    async def declare(self, topology: Topology) -> None:
        """Create whatever of the topology is missing, and unbind what its `unbound` names. Idempotent.

        Raises:
            Misconfigured: a queue or exchange of that name exists with other arguments.
            Unavailable: the broker is away.
        """
        ...

    async def check(self, topology: Topology) -> None:
        """Raise Misconfigured unless every exchange and queue of the topology exists; changes nothing."""
        ...

    async def differing(self, topology: Topology) -> Sequence[str]:
        """What of the topology exists with other arguments, in the broker's words; changes nothing."""
        ...

    async def lossy(self, topology: Topology) -> Mapping[str, str]:
        """Downstream queues that are there and drop what their consumers reject, each with the command that mends it.

        Nothing is changed: what a team has declared, or an older version of ours, stays as it is.
        """
        ...

    async def try_rights(self) -> str:
        """See that we may declare, publish and consume; why that cannot be told, if so. Nothing of it stays.

        Raises:
            Misconfigured: we may not publish or consume.
            Unavailable: the broker is away.
        """
        ...

    async def publish(self, batch: Sequence[Message]) -> None:
        """Store every message, or raise; concurrent calls share the connection and do not wait for each other.

        Raises:
            Refused: some message is larger than MESSAGE_BYTES, or than the broker takes; all others of the batch are
                stored, but for those that the error names as open.
            Unroutable: some message found no queue; all others of the batch are stored.
            Unconfirmed: some outcome is unknown or a nack; publishing those again that the error names is right.
        """
        ...

    async def recovered(self) -> None:
        """Return as soon as a broker that could not take publishes takes them again; never, where that cannot be told.

        It ends a pause between two tries early, and promises nothing: keep a longest pause beside it.
        """
        ...

    def consume(self, queue: str, *, prefetch: int) -> AbstractAsyncContextManager[Consumer]:
        """Subscribe to a queue; at most `prefetch` messages are unsettled at a time."""
        ...

    async def ask(self, question: Message, *, timeout_seconds: float) -> bytes | None:
        """Publish a question that expires at the deadline and wait for one reply; None when none came in time."""
        ...

    async def reply(self, question: Delivery, body: bytes) -> None:
        """Answer a question; nobody listening any more is not an error."""
        ...

    async def depths(self, queues: Sequence[str]) -> Mapping[str, int]:
        """Messages ready in each queue (for reconcile and metrics); queues that do not exist are left out."""
        ...

    async def consumers(self, queues: Sequence[str]) -> Mapping[str, int]:
        """Who is subscribed to each queue now; queues that do not exist are left out."""
        ...

    async def delete(self, queue: str) -> bool:
        """Delete a queue if it is seen empty and without a consumer; whether it is gone now."""
        ...

    @property
    def trouble(self) -> str:
        """Why publishing or an open consumer does not work, as far as known now (readiness); empty while all do."""
        ...

    @property
    def healthy(self) -> bool:
        """Whether there is no trouble."""
        ...


class _Waiting(Protocol):
    @property
    def body(self) -> bytes: ...
    @property
    def events(self) -> int: ...


def batch_size(waiting: Iterable[_Waiting], most: int) -> int:
    """How many of the waiting ones make the next batch: up to `most` events and BATCH_BYTES, but at least one."""
    room, left, count = BATCH_BYTES, most, 0
    for message in islice(waiting, most):
        room -= len(message.body)
        left -= message.events
        if count and (room < 0 or left < 0):
            break
        count += 1
    return count
