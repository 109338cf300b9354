"""Which connection makes room for the one that comes: who has done nothing for the longest, and nobody who is busy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from runtime.port.address import start_listening
from runtime.port.connections import Connections
from runtime.port.descriptors import Room, room_for
from tests.building.loops import until
from tests.services import ports

GET = b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n"
PATIENCE_SECONDS = 30.0


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def ask(self, path: bytes) -> bytes:
        """The first line of the answer."""
        self._writer.write(GET % path)
        head = await self._reader.readuntil(b"\r\n\r\n")
        await self._reader.readexactly(2)
        return head.split(b"\r\n")[0]

    def begin(self, path: bytes) -> None:
        self._writer.write(GET % path)

    async def is_closed(self) -> bool:
        """Whether the other side hung up; waits a little for that."""
        try:
            async with asyncio.timeout(0.3):
                return await self._reader.read(1) == b""
        except TimeoutError:
            return False
        except ConnectionError:
            return True

    async def write_until_full(self) -> None:
        """Ask for more and more and read nothing, until neither side takes any more."""
        self._writer.transport.pause_reading()  # type: ignore[attr-defined]
        with suppress(TimeoutError):
            while True:
                self.begin(b"x" * 1000)
                async with asyncio.timeout(0.3):
                    await self._writer.drain()

    def close(self) -> None:
        self._writer.transport.abort()


class Server:
    """A port with few connections, and requests for `/slow` that wait."""

    def __init__(self, port: int, server: Connections) -> None:
        self._port, self.server = port, server
        self.clients: list[Client] = []

    async def client(self) -> Client:
        self.clients.append(Client(*await asyncio.open_connection("127.0.0.1", self._port)))
        await asyncio.sleep(0.02)
        return self.clients[-1]


@asynccontextmanager
async def serving(*, most: int, each: int = 0) -> AsyncIterator[Server]:
    over, port = asyncio.Event(), ports.free_port()

    async def handle(request: web.BaseRequest) -> web.Response:
        if request.path == "/slow":
            await over.wait()
        return web.Response(text="ok")

    server = Connections(handle, port="door", most=most, each=each, access_log=None)
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    await start_listening(runner, f"127.0.0.1:{port}")
    opened = Server(port, server)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            yield opened
    finally:
        over.set()
        for client in opened.clients:
            client.close()
        await runner.cleanup()


async def test_who_was_idle_for_the_longest_is_closed_however_old_a_connection_in_use_is() -> None:
    async with serving(most=2) as server:
        old, silent = await server.client(), await server.client()
        assert await old.ask(b"x") == b"HTTP/1.1 200 OK"
        with capture_logs() as logged:
            new = await server.client()
            assert await silent.is_closed()
        assert await old.ask(b"x") == await new.ask(b"x") == b"HTTP/1.1 200 OK"
        assert server.server.open == 2
    assert [(line["event"], line["port"], line["too_many"]) for line in logged] == [
        ("port.connections_full", "door", "in all")
    ]


async def test_nobody_who_is_busy_is_closed_for_one_that_comes() -> None:
    async with serving(most=2) as server:
        busy = [await server.client(), await server.client()]
        for client in busy:
            client.begin(b"slow")
        await asyncio.sleep(0.05)
        assert await (await server.client()).is_closed()
        assert [await client.is_closed() for client in busy] == [False, False]
        assert server.server.open == 2


async def test_an_address_that_has_its_share_closes_its_own() -> None:
    async with serving(most=10, each=2) as server:
        first, second, third = [await server.client() for _ in range(3)]
        assert (await first.is_closed(), await second.is_closed(), await third.is_closed()) == (True, False, False)
        second.close()
        third.close()
        await asyncio.sleep(0.05)
        assert server.server.open == 0
        assert await (await server.client()).ask(b"x") == b"HTTP/1.1 200 OK"


async def test_of_an_address_the_one_that_was_idle_for_the_longest_is_closed_too() -> None:
    async with serving(most=10, each=2) as server:
        old, silent = await server.client(), await server.client()
        assert await old.ask(b"x") == b"HTTP/1.1 200 OK"
        new = await server.client()
        assert (await old.is_closed(), await silent.is_closed(), await new.is_closed()) == (False, True, False)


async def test_a_peer_that_reads_no_answer_does_not_outlive_its_closing() -> None:
    """It stayed open until it read, and was no longer counted: so there was no cap for such peers."""
    async with serving(most=1) as server:
        await (await server.client()).write_until_full()
        assert await (await server.client()).ask(b"x") == b"HTTP/1.1 200 OK"
        await until(lambda: len(server.server.connections) == 1)


@pytest.mark.parametrize("limit", [16, 64, 1024, 4096, 1_048_576])
def test_there_is_always_a_reserve_and_a_connection(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (limit, limit))
    room = room_for(10_000)
    assert isinstance(room, Room)
    assert 1 <= room.connections <= 10_000
    assert 2 <= room.admin <= 32
    assert limit < 64 or room.connections + room.reserve < limit or room.connections == 10_000
