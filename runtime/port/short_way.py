"""aiohttp's connection with a shorter way for requests that need nothing of it but its parser.

What aiohttp does for a request besides (a wake, a task, a request, the rules of a response) costs more than all that
the door does. Whatever is not plain, and every answer that is not, goes aiohttp's way, and so does a connection's end.

It hangs on one thing: aiohttp's loop waits for requests on `_waiter`, and a connection that has none is busy: what
comes is queued behind, no keep-alive ends it, and a drain waits for it. So the waiter is held back while a plain
request is under way, which stays at the head of aiohttp's queue until it is answered. These are private names, so it is
offered only on the versions of aiohttp that tests/integration/test_both_doors.py has seen: else all go the long way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol

import aiohttp
from aiohttp import HttpVersion11, StreamReader, web
from aiohttp.http import RawRequestMessage

IS_KNOWN: Final = aiohttp.__version__.startswith("3.14.")


class Work(Protocol):
    """A plain request that somebody answers."""

    def begin(self, connection: ShortWay, payload: StreamReader) -> None:
        """Its body is in `payload`, whole; raises nothing, and ends by `connection.answer` or `leave`."""
        ...


Offer = Callable[[RawRequestMessage], Work | None]
Note = Callable[[web.RequestHandler, bool], None]


class ShortWay(web.RequestHandler):
    """A connection that offers each plain request to `offer` first; `note` hears when one begins and ends.

    `left` is how the request at the head ended, where aiohttp has to write the answer.
    """

    __slots__ = ("_held", "_note", "_offer", "left")

    def __init__(self, server: web.Server, offer: Offer, note: Note, **options: Any) -> None:
        super().__init__(server, **options)
        self._offer = offer
        self._note = note
        self._held: asyncio.Future[None] | None = None
        self.left: web.StreamResponse | Exception | None = None

    def data_received(self, data: bytes) -> None:
        """Called by the transport."""
        waiter = self._waiter
        if waiter is None or waiter.done() or self._paused:
            super().data_received(data)
            return
        self._waiter = None
        try:
            super().data_received(data)
        finally:
            self._waiter = waiter
        messages = self._messages
        if not messages:
            return
        message, payload = messages[0]
        if len(messages) == 1 and isinstance(message, RawRequestMessage) and _is_plain(message, payload):
            work = self._offer(message)
            if work is not None:
                self._waiter, self._held = None, waiter
                self._request_in_progress = True
                self._note(self, True)
                work.begin(self, payload)
                return
        if not waiter.done():
            waiter.set_result(None)

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Called by aiohttp for each body that is read, paused or not: it would then parse nothing once more."""
        if self._held is None or self._reading_paused:
            super().resume_reading(resume_parser)

    def answer(self, whole: bytes) -> bool:
        """Write this as the answer, after which the connection stays open; False: it does not, so `leave` it."""
        transport = self.transport
        if transport is None or transport.is_closing() or self._close or self._force_close:
            return False
        transport.write(whole)
        self._messages.popleft()
        if self._parser is not None:
            self._parser.message_consumed()
        waiter = self._end()
        now = self._loop.time()
        self._next_keepalive_close_time = now + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(self._next_keepalive_close_time, self._process_keepalive)
        if self._messages and not waiter.done():
            waiter.set_result(None)
        return True

    def leave(self, outcome: web.StreamResponse | Exception) -> None:
        """Let aiohttp write this as the answer, by its own rules; of an exception it makes a 500."""
        waiter = self._end()
        if self._manager is None:  # the peer is gone
            waiter.cancel()
        elif not waiter.done():
            self.left = outcome
            waiter.set_result(None)

    def _end(self) -> asyncio.Future[None]:
        """Nothing is under way any more."""
        assert self._held is not None
        self._waiter, self._held = self._held, None
        self._note(self, False)
        self._request_in_progress = False
        if self._handler_waiter is not None and not self._handler_waiter.done():
            self._handler_waiter.set_result(None)
        return self._waiter


def _is_plain(message: RawRequestMessage, payload: StreamReader) -> bool:
    """Whether it came whole, and neither asks for another protocol nor for the end of the connection."""
    return (
        payload.is_eof()
        and payload.exception() is None
        and message.method == "POST"
        and message.version == HttpVersion11
        and not message.should_close
        and not message.upgrade
        and message.path.startswith("/")
    )
