"""Somebody else's client on RabbitMQ (pika), and how tests wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from typing import Any, Final

import pika
from pika.exceptions import ChannelClosedByBroker

WAIT_SECONDS: Final = 60.0


def accepts(url: str, queue: str, arguments: dict[str, Any]) -> bool:
    """Whether the queue exists with exactly these arguments: the broker refuses to declare it with others."""
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        try:
            connection.channel().queue_declare(queue, durable=True, arguments=arguments)
        except ChannelClosedByBroker:
            return False
        return True


def redeclare(url: str, queue: str, arguments: dict[str, Any]) -> None:
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        channel = connection.channel()
        channel.queue_delete(queue)
        channel.queue_declare(queue, durable=True, arguments=arguments)


def major_version(url: str) -> int:
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        properties = connection._impl.server_properties  # type: ignore[attr-defined]
        return int(str(properties["version"]).partition(".")[0])


def delete(url: str, name: str) -> None:
    """Delete the queue and the exchange of that name, if they exist."""
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        channel = connection.channel()
        channel.queue_delete(name)
        channel.exchange_delete(name)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not holds():  # noqa: ASYNC110 - readiness is polled in production too
            await asyncio.sleep(0.01)
