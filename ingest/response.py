"""What a platform hears, as aiohttp's response."""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import lru_cache
from typing import Final

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter

from runtime.port.connections import SERVER
from schemas.notification import Reply

OK: Final = 200


def response(request: web.BaseRequest, reply: Reply, *, last: bool = False) -> web.StreamResponse:
    """The reply as the response to this request; after the `last` one the connection is to be closed."""
    if reply.status == OK and not last and request.keep_alive and request.version == HttpVersion11:
        return Whole(whole_of(reply))
    return plain_response(reply)


def plain_response(reply: Reply) -> web.Response:
    """The reply as a response by aiohttp's rules."""
    headers = {"Content-Type": reply.content_type} if reply.content_type else None
    return web.Response(status=reply.status, body=reply.body, headers=headers)


class Whole(web.StreamResponse):
    """A 200 on a connection that stays open, written in one piece that is known beforehand.

    Making up a head by rules, as aiohttp does for any response, costs a third of the whole request.
    """

    def __init__(self, whole: bytes) -> None:
        super().__init__()
        self._whole = whole
        self._writer: AbstractStreamWriter | None = None

    @property
    def keep_alive(self) -> bool:
        """Always: for anything else there is `web.Response`."""
        return True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        """Writes nothing yet."""
        self._writer = request.writer
        return self._writer

    async def write_eof(self, data: bytes = b"") -> None:
        """Write head and body."""
        assert self._writer is not None
        assert not data
        await self._writer.write_eof(self._whole)


def whole_of(reply: Reply) -> bytes:
    """A 200 on a connection that stays open, as aiohttp would write it."""
    content_type = f"Content-Type: {reply.content_type}\r\n" if reply.content_type else ""
    head = (
        f"HTTP/1.1 200 OK\r\n{content_type}Content-Length: {len(reply.body)}\r\n"
        f"Date: {_date(int(time.time()))}\r\nServer: {SERVER}\r\n\r\n"
    )
    return head.encode() + reply.body


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)
