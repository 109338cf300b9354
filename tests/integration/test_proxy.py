"""The proxy itself: a fault that does not happen would let every test of one pass."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from yarl import URL

from tests.services import ports
from tests.services.proxy import Proxy, open_proxy

QUIET_SECONDS = 0.2

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """In front of a server that says everything back."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, open_proxy(f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}") as proxy:
        yield proxy


@pytest.fixture
async def ends(proxy: Proxy) -> AsyncIterator[Ends]:
    """A client of the proxy that has heard from the far side."""
    async with connected(proxy) as (reader, writer):
        writer.write(b"hello")
        assert await reader.read(5) == b"hello"
        yield reader, writer


async def test_a_cut_is_an_end_of_file(proxy: Proxy, ends: Ends) -> None:
    proxy.cut()
    assert await ends[0].read() == b""
    assert await welcomes(proxy)


async def test_a_reset_is_a_reset(proxy: Proxy, ends: Ends) -> None:
    proxy.reset()
    with pytest.raises(ConnectionResetError):
        await ends[0].read()
    assert await welcomes(proxy)


@pytest.mark.parametrize("hold", [Proxy.mute, Proxy.stall])
async def test_what_was_held_back_comes_in_the_end(proxy: Proxy, ends: Ends, hold: object) -> None:
    assert callable(hold)
    hold(proxy)
    ends[1].write(b"again")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(QUIET_SECONDS):
            await ends[0].read(1)
    proxy.flow()
    assert await ends[0].read(5) == b"again"


async def test_a_delay_is_paid_there_and_back(proxy: Proxy, ends: Ends) -> None:
    proxy.delay(0.1)
    began = time.monotonic()
    ends[1].write(b"again")
    assert await ends[0].read(5) == b"again"
    assert time.monotonic() - began >= 0.2


async def test_a_refusal_ends_what_is_open_and_takes_nobody_until_it_accepts_again(proxy: Proxy, ends: Ends) -> None:
    proxy.refuse()
    assert await ends[0].read() == b""
    with pytest.raises(ConnectionRefusedError):
        await welcomes(proxy)
    await proxy.accept()
    assert await welcomes(proxy)


async def test_a_target_that_is_away_hangs_up() -> None:
    async with open_proxy(f"tcp://127.0.0.1:{ports.free_port()}") as proxy, connected(proxy) as (reader, _):
        assert await reader.read() == b""


@asynccontextmanager
async def connected(proxy: Proxy) -> AsyncIterator[Ends]:
    reader, writer = await asyncio.open_connection("127.0.0.1", URL(proxy.url).port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


async def welcomes(proxy: Proxy) -> bool:
    async with connected(proxy) as (reader, writer):
        writer.write(b"hello")
        return await reader.read(5) == b"hello"
