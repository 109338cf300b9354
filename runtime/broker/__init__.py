"""The one place that speaks to a message broker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager

from runtime.broker.base import Broker
from runtime.broker.embedded import open_embedded
from runtime.broker.rabbitmq import open_rabbitmq, open_rabbitmq_listener
from schemas.errors import Misconfigured
from schemas.settings.addresses import BrokerAddress


def open_broker(address: BrokerAddress) -> AbstractAsyncContextManager[Broker]:
    """The broker at that address.

    Raises:
        Misconfigured: a file that another process owns, or an address that RabbitMQ's client does not understand.
        Unavailable: RabbitMQ is away.
    """
    return open_embedded(address.file) if address.embedded else open_rabbitmq(address.text)


def open_listener(
    address: BrokerAddress, rows: Collection[tuple[str, str]]
) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
    """The bodies of the messages that pass from now on by these bindings (exchange, pattern), for a look.

    Raises:
        Misconfigured: it is the embedded broker; or as `open_rabbitmq_listener`.
        Unavailable: RabbitMQ is away.
    """
    if address.embedded:
        raise Misconfigured(
            "the embedded broker has no queue for anybody else, so nobody can listen: look into the file of a jsonl"
            " sink (`tail -f var/calls.jsonl`), or run RabbitMQ"
        )
    return open_rabbitmq_listener(address.text, rows)
