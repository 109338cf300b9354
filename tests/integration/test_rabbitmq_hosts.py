"""A broker of several hosts: whichever is gone or silent, another one serves."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from structlog.testing import capture_logs

from runtime.broker.base import Consumer
from runtime.broker.rabbitmq import RabbitMQ, open_rabbitmq
from schemas.errors import Unavailable, Unconfirmed
from tests.contracts.brokers import a_message, numbered, numbers, only, receive
from tests.integration.amqp_peer import WAIT_SECONDS
from tests.services import ports
from tests.services.proxy import Proxy, open_proxy

pytestmark = pytest.mark.rabbitmq


@pytest.fixture
async def wires(amqp_url: str) -> AsyncIterator[list[Proxy]]:
    """Two ways to the node, as two hosts of a cluster."""
    async with open_proxy(amqp_url) as one, open_proxy(amqp_url) as other:
        yield [one, other]


def both(wires: list[Proxy]) -> str:
    """Their addresses as one."""
    one, other = (wire.url for wire in wires)
    login, _, place = one.partition("@")
    host, _, vhost = place.partition("/")
    return f"{login}@{host},{other.partition('@')[2].partition('/')[0]}/{vhost}"


async def test_work_goes_on_through_another_host_whichever_is_gone(wires: list[Proxy], name: str) -> None:
    one, other = wires
    async with open_rabbitmq(both(wires)) as broker:
        await broker.declare(only(name))
        async with broker.consume(name, prefetch=2) as consumer:
            for number, (gone, back) in enumerate(((one, None), (other, one), (one, other))):
                if back is not None:
                    await back.accept()
                gone.refuse()
                while number not in await arrived(broker, consumer, name, number):
                    pass


async def arrived(broker: RabbitMQ, consumer: Consumer, name: str, number: int) -> list[int]:
    """What comes after this was published, perhaps twice: what a lost connection carried is published again."""
    message = a_message(name, b"%d" % number)
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            with suppress(Unconfirmed):
                await broker.publish([message])
                break
    deliveries = await receive(consumer, 1)
    await consumer.ack(deliveries)
    return numbers(deliveries)


async def test_a_silent_host_keeps_nobody_from_the_others(wires: list[Proxy], name: str) -> None:
    wires[0].mute()
    with capture_logs() as logged:
        async with open_rabbitmq(both(wires)) as broker:
            await broker.declare(only(name))
            await broker.publish(numbered(name, 1))
    hosts = {line["host"] for line in logged if line["event"] == "broker.connected"}
    assert hosts == {wires[1].url.partition("@")[2].partition("/")[0]}


async def test_when_none_answers_each_is_named_and_nobody_tells_the_password() -> None:
    first, second = ports.free_port(), ports.free_port()
    url = f"amqp://me:s3cret@127.0.0.1:{first},127.0.0.1:{second}/"
    with capture_logs() as logged, pytest.raises(Unavailable) as away:
        async with open_rabbitmq(url, start_timeout_seconds=3):
            pass
    assert f"127.0.0.1:{first}" in str(away.value)
    assert f"127.0.0.1:{second}" in str(away.value)
    told = [(line["connection"], line["host"]) for line in logged if line["event"] == "broker.unreachable"]
    ways = itertools.product(("publish", "consume"), (f"127.0.0.1:{port}" for port in (first, second)))
    assert sorted(told) == sorted(ways), "each once"
    assert "s3cret" not in f"{away.value} {logged}"
