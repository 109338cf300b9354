"""The one place that speaks to a message broker."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from runtime.broker.base import Broker
from runtime.broker.embedded import open_embedded
from runtime.broker.rabbitmq import open_rabbitmq
from schemas.settings.addresses import BrokerAddress


def open_broker(address: BrokerAddress) -> AbstractAsyncContextManager[Broker]:
    """The broker at that address.

    Raises:
        Misconfigured: a file that another process owns, or an address that RabbitMQ's client does not understand.
        Unavailable: RabbitMQ is away.
    """
    return open_embedded(address.file) if address.embedded else open_rabbitmq(address.text)
