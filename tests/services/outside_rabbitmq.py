"""A RabbitMQ that somebody else runs, named by CALLSTITCH_TEST_AMQP: we may only delete what is ours on it."""

from __future__ import annotations

import pika

from schemas.topology import Subscription, sink_queue, topology

# The downstream queues and sinks that tests use; without the management plugin a client cannot list queues.
TEST_QUEUES = ("billing", sink_queue("crm"), sink_queue("file"))


def delete_topology(url: str) -> None:
    """Delete every exchange and queue of our topology from that vhost, and what is in them."""
    ours = topology(Subscription(queue=name) for name in TEST_QUEUES)
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        channel = connection.channel()
        for queue in ours.queues:
            channel.queue_delete(queue.name)
        for exchange in ours.exchanges:
            channel.exchange_delete(exchange.name)
    finally:
        connection.close()
