"""FastStream queue to queue: a subscriber whose publish is confirmed before its message is acked.

Its pages "Rabbit > Publishing", "Consuming Acknowledgements" and "Concurrency and Prefetch", and its installed code:
`AckPolicy.NACK_ON_ERROR` acks after the handler; a RabbitMQ subscriber of 0.7 runs `prefetch` handlers at once (there
is no `max_workers`); the quorum type is declared with the queue. Arguments: AMQP URL, from, to, prefetch.
"""

# What it imports is installed in the peers' environment only.
# mypy: ignore-errors

from __future__ import annotations

import sys

import uvloop
from faststream import AckPolicy, FastStream
from faststream.rabbit import Channel, QueueType, RabbitBroker, RabbitQueue
from faststream.rabbit.annotations import RabbitMessage

URL, SOURCE, TARGET, PREFETCH = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])


def quorum(name: str) -> RabbitQueue:
    return RabbitQueue(name, durable=True, queue_type=QueueType.QUORUM, declare=False)


broker = RabbitBroker(URL, default_channel=Channel(prefetch_count=PREFETCH, publisher_confirms=True), logger=None)


@broker.subscriber(quorum(SOURCE), ack_policy=AckPolicy.NACK_ON_ERROR)
async def relay(message: RabbitMessage) -> None:
    await broker.publish(message.body, routing_key=TARGET, persist=True, mandatory=True)


if __name__ == "__main__":
    uvloop.run(FastStream(broker).run())
