"""Regression: a peer that hung up during the handshake (a broker that stops or starts, or a proxy with none behind it)
ended the task that reconnects for good, because aiormq says StopAsyncIteration then; the role never came back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pamqp.frame
from pamqp.commands import Connection
from yarl import URL

from runtime.broker.rabbitmq_link import Link, running

ATTEMPTS = 30


async def test_a_peer_that_hangs_up_in_the_handshake_never_ends_the_reconnecting() -> None:
    hung_up = asyncio.Semaphore(0)
    async with hanging_up(hung_up) as port:
        link = Link(URL(f"amqp://guest:guest@127.0.0.1:{port}/"), purpose="test", pause=lambda: 0.0)
        async with running(link.run()) as (reconnecting,), asyncio.timeout(20):
            for _ in range(ATTEMPTS):
                again = asyncio.ensure_future(hung_up.acquire())
                await asyncio.wait({again, reconnecting}, return_when=asyncio.FIRST_COMPLETED)
                assert not reconnecting.done(), repr(reconnecting.exception())


@asynccontextmanager
async def hanging_up(hung_up: asyncio.Semaphore) -> AsyncIterator[int]:
    """The port of a server that says hello, sends nothing more and waits for the other side to close."""
    hello = pamqp.frame.marshal(Connection.Start(server_properties={}), 0)

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(hello)
        writer.write_eof()
        await reader.read()
        writer.close()
        hung_up.release()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
