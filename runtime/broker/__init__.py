"""The one place that speaks to a message broker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from runtime.broker.base import Broker
from schemas.errors import Misconfigured


@asynccontextmanager
async def open_broker(url: str) -> AsyncIterator[Broker]:
    """The broker that the config names: `embedded:PATH`, `embedded::memory:` or `amqp://...`.

    Raises:
        Misconfigured: no such kind of broker, or a file that another process owns.
        Unavailable: RabbitMQ is away.
    """
    kind, _, rest = url.partition(":")
    if kind == "embedded":
        from runtime.broker.embedded import open_embedded  # noqa: PLC0415 - a role loads the client it uses

        async with open_embedded(None if rest == ":memory:" else Path(rest)) as embedded:
            yield embedded
    elif kind in ("amqp", "amqps"):
        from runtime.broker.rabbitmq import open_rabbitmq  # noqa: PLC0415 - the same

        async with open_rabbitmq(url) as rabbitmq:
            yield rabbitmq
    else:
        raise Misconfigured("broker must be embedded:PATH or amqp://...")
