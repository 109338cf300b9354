"""A server that holds no more connections than it may: whoever does nothing makes room for whoever comes."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from inspect import CORO_CLOSED, getcoroutinestate
from typing import Any, Final, Literal

import structlog
from aiohttp import web, web_response

from runtime.port.short_way import IS_KNOWN, Offer, ShortWay

log = structlog.get_logger()

SERVER: Final = "callstitch"
# No answer tells which versions run here, aiohttp's own pages of a 400 or 500 included, which pass no hook.
web_response.SERVER_SOFTWARE = SERVER  # type: ignore[attr-defined]

Serving = Coroutine[Any, Any, web.StreamResponse]
Handle = Callable[[web.BaseRequest], Serving]


class Connections(web.Server):
    """aiohttp's low-level server with at most `most` connections, and `each` of one address (0: any number).

    When there are more, the one that has had no request for the longest is closed; if all others are busy, that is the
    one that has just come. `port` is its name in the log. What is plain is offered to `offer` first, if there is one.
    """

    def __init__(
        self, handle: Handle, *, port: str, most: int, each: int = 0, offer: Offer | None = None, **options: Any
    ) -> None:
        super().__init__(self._serve, **options)
        self._handle = handle
        self._offer = offer if IS_KNOWN else None
        self._port = port
        self._most = most
        self._each = each
        self._addresses: dict[web.RequestHandler, str] = {}  # of all that are open
        self._of_address: dict[str, OrderedDict[web.RequestHandler, None]] = {}  # as `_serving`, where `each` counts
        # The last request of each; the connection that has had none for the longest comes first.
        self._serving: OrderedDict[web.RequestHandler, Serving | Literal[True] | None] = OrderedDict()

    @property
    def open(self) -> int:
        """How many there are."""
        return len(self._addresses)

    def _serve(self, request: web.BaseRequest) -> Serving:
        """What the handler makes of it, noted and not wrapped: a coroutine of our own would cost each request."""
        connection = request.protocol
        left = connection.left if isinstance(connection, ShortWay) else None
        serving = self._handle(request) if left is None else _told(connection, left)
        self._note_serving(connection, serving)
        return serving

    def __call__(self) -> web.RequestHandler:
        """Called by aiohttp for each connection."""
        if self._offer is None:
            return super().__call__()
        return ShortWay(self, self._offer, self._note, loop=self._loop, **self._kwargs)

    def _note(self, connection: web.RequestHandler, busy: bool) -> None:
        """A request on the short way begins or ends."""
        if busy:
            self._note_serving(connection, True)
        elif connection in self._serving:
            self._serving[connection] = None

    def _note_serving(self, connection: web.RequestHandler, serving: Serving | Literal[True]) -> None:
        if connection in self._serving:
            self._serving[connection] = serving
            self._serving.move_to_end(connection)
            if self._each:
                self._of_address[self._addresses[connection]].move_to_end(connection)

    def _is_idle(self, connection: web.RequestHandler) -> bool:
        serving = self._serving[connection]
        return serving is None or (serving is not True and getcoroutinestate(serving) == CORO_CLOSED)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Called by aiohttp."""
        super().connection_made(handler, transport)
        address = _address(transport)
        self._addresses[handler] = address
        self._serving[handler] = None
        if self._each:
            own = self._of_address.setdefault(address, OrderedDict())
            own[handler] = None
            if len(own) > self._each:
                self._close(next(filter(self._is_idle, own)), "of one address")
        if len(self._addresses) > self._most:
            self._close(next(filter(self._is_idle, self._serving)), "in all")

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Called by aiohttp."""
        super().connection_lost(handler, exc)
        self._forget(handler)

    def _close(self, connection: web.RequestHandler, too_many: str) -> None:
        self._forget(connection)
        log.warning("port.connections_full", port=self._port, too_many=too_many, open=self.open)
        transport = connection.transport
        connection.force_close()
        # What a peer does not read would keep it open, and counted by nobody.
        if isinstance(transport, asyncio.WriteTransport) and transport.get_write_buffer_size():
            transport.abort()

    def _forget(self, connection: web.RequestHandler) -> None:
        self._serving.pop(connection, None)
        address = self._addresses.pop(connection, None)
        if address is None or not self._each:
            return
        own = self._of_address[address]
        del own[connection]
        if not own:
            del self._of_address[address]


async def _told(connection: web.RequestHandler, left: web.StreamResponse | Exception) -> web.StreamResponse:
    """How a request ended that was left to aiohttp."""
    assert isinstance(connection, ShortWay)
    connection.left = None
    if isinstance(left, Exception):
        raise left
    return left


def _address(transport: asyncio.Transport) -> str:
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) and peer else ""
