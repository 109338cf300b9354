"""Made-up events to a queue of RabbitMQ: as the stage `feed` sends them, confirmed, and mandatory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from uuid import uuid4

from runtime.broker import open_broker
from runtime.events.fed import fed_messages
from runtime.wire import monotonic_message_ids
from schemas.envelope import Envelope
from schemas.errors import Misconfigured
from schemas.settings.addresses import BrokerAddress
from schemas.stage import Fed
from schemas.topology import DEAD, Subscription, Topology, topology


async def publish(
    events: Sequence[Envelope],
    address: BrokerAddress,
    queue: str,
    *,
    form: Literal["structured", "batch"],
    declared: bool,
) -> None:
    """Send them in their order to that queue alone; `declared`: make it first, as `callstitch declare` would.

    Raises:
        Misconfigured: there is no such queue, or it is there with other arguments.
        Unavailable: the broker is away, or did not confirm.
    """
    fed = [
        Fed(
            id=event.id,
            kind=event.kind,
            source=event.source,
            at=event.at,
            body=event.body,
            trace=event.trace,
            route=event.route,
            of=event,
            queue=queue,
            form=form,
        )
        for event in events
    ]
    messages = fed_messages(fed, monotonic_message_ids(f"fake.{uuid4().hex[:12]}"))
    async with open_broker(address) as broker:
        if declared:
            await broker.declare(_as_ours(queue))
        elif not await broker.depths([queue]):
            raise Misconfigured(f"there is no queue {queue}; --declare makes it as `callstitch declare` would")
        await broker.publish([message for message, _ in messages])


def _as_ours(queue: str) -> Topology:
    """The queue as a `[[queue]]` of that name is, and where what its consumer rejects goes."""
    whole = topology([Subscription(queue=queue, downstream=True)])
    (own,) = [one for one in whole.queues if one.name == queue]
    return Topology(
        exchanges=tuple(one for one in whole.exchanges if one.name == own.dead_letter_exchange),
        queues=tuple(one for one in whole.queues if one.name in {queue, DEAD}),
        bindings=tuple(one for one in whole.bindings if one.exchange == own.dead_letter_exchange),
    )
