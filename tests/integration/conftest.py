"""RabbitMQ behind a proxy, for the tests that hurt the connection between it and us."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest

from runtime.broker.rabbitmq import RabbitMQ, open_rabbitmq
from tests.contracts.brokers import only
from tests.integration import amqp_peer
from tests.services.proxy import Proxy, open_proxy


@pytest.fixture
def name(amqp_url: str) -> Iterator[str]:
    """A name of this test's own; the queue, dead letter exchange and so on of that name are deleted at the end."""
    name = f"test.{uuid4().hex[:12]}"
    yield name
    amqp_peer.delete(amqp_url, name)


@pytest.fixture
async def proxy(amqp_url: str) -> AsyncIterator[Proxy]:
    """A proxy in front of the vhost that all tests share."""
    async with open_proxy(amqp_url) as proxy:
        yield proxy


@pytest.fixture
async def broker(proxy: Proxy, name: str) -> AsyncIterator[RabbitMQ]:
    """Our client of RabbitMQ, through the proxy; the queue of that name is declared."""
    async with open_rabbitmq(proxy.url, confirm_timeout_seconds=2) as broker:
        await broker.declare(only(name))
        yield broker
