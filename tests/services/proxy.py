"""A TCP proxy on loopback that cuts, resets, stalls, delays and refuses; every test that hurts a connection uses it."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from yarl import URL

_LINGER_NOT = struct.pack("ii", 1, 0)  # closing a socket with this sends RST instead of FIN (socket(7), SO_LINGER)


class Proxy:
    """Passes everything on to the target until told otherwise.

    While nothing listens there, a connection is cut as soon as it is made.
    """

    def __init__(self, target: URL) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._port = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._heard = _open_gate()
        self._told = _open_gate()
        self._delay_seconds = 0.0
        self._unheard = b""

    @property
    def url(self) -> str:
        """The target's URL, through the proxy."""
        return str(self._target.with_host("127.0.0.1").with_port(self._port))

    async def accept(self) -> None:
        """Listen, on the same port each time."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    def refuse(self) -> None:
        """Cut every connection and listen no more."""
        assert self._server is not None
        self._server.close()
        self.cut()

    def cut(self) -> None:
        """Close every connection in the middle of whatever it carries; new ones are welcome."""
        for writer in tuple(self._writers):
            writer.transport.abort()

    def reset(self) -> None:
        """As `cut`, but both sides read "connection reset by peer" (RST)."""
        for writer in tuple(self._writers):
            end: socket.socket | None = writer.get_extra_info("socket")
            if end is not None and end.fileno() >= 0:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self.cut()

    def mute(self) -> None:
        """Hold back what the target says; what it is told still arrives."""
        self._heard.clear()

    def unmute(self) -> None:
        """Pass on what was held back, and everything after it."""
        self._heard.set()

    def stall(self) -> None:
        """Hold back everything, both ways: the connections stay open and are silent."""
        self._heard.clear()
        self._told.clear()

    def flow(self) -> None:
        """Hold back nothing any more."""
        self._heard.set()
        self._told.set()

    def delay(self, seconds: float) -> None:
        """Pass every piece on so much later, both ways."""
        self._delay_seconds = seconds

    def lose(self, marker: bytes) -> None:
        """Drop the next piece of what the target says that holds this; the connection stays in step if it is whole."""
        self._unheard = marker

    @property
    def lost(self) -> bool:
        """Whether that has happened."""
        return not self._unheard

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(self._target.host, self._target.port or 5672)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        self._tasks |= {
            asyncio.create_task(self._pass_on(reader, far_writer, self._told)),
            asyncio.create_task(self._pass_on(far_reader, writer, self._heard)),
        }

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: asyncio.Event) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await asyncio.sleep(self._delay_seconds)
                await gate.wait()
                if gate is self._heard and self._unheard and self._unheard in data:
                    self._unheard = b""
                    continue
                writer.write(data)
                await writer.drain()
        writer.close()

    async def close(self) -> None:
        """Cut what is left; returns when nothing of it runs any more."""
        self.refuse()
        self.flow()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            with suppress(OSError):
                await writer.wait_closed()


def _open_gate() -> asyncio.Event:
    gate = asyncio.Event()
    gate.set()
    return gate


@asynccontextmanager
async def open_proxy(target: str) -> AsyncIterator[Proxy]:
    """A proxy in front of `host:port` of that URL, listening on a port of its own."""
    proxy = Proxy(URL(target))
    await proxy.accept()
    try:
        yield proxy
    finally:
        await proxy.close()
