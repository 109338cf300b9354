"""The body of a request, within the limits of docs/contract.md section 3."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import ClientError, StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError

from ingest.shares import SMALL_BYTES, Stay
from schemas.errors import Rejected

BODY_BYTES: Final = 1024 * 1024
BODY_SECONDS: Final = 10.0


async def read_body(request: web.BaseRequest, stay: Stay) -> bytes:
    """The whole body as sent.

    Raises:
        Rejected: it is too long (413), too slow (408), breaks off (400), or finds no room beside others (503).
    """
    try:
        if request.content.is_eof():  # a short one arrives together with the head
            return read_at_once(request.content, stay)
        return await _arriving(request, stay)
    except TimeoutError:
        raise Rejected("the body came too slowly", status=408) from None
    except (ConnectionError, ClientError, HttpProcessingError):
        raise Rejected("the body did not arrive whole", status=400) from None


def read_at_once(content: StreamReader, stay: Stay) -> bytes:
    """A body that is here.

    Raises:
        Rejected: it is too long (413), or finds no room beside others (503).
    """
    body = content.read_nowait()
    if len(body) > SMALL_BYTES:
        _check_size(len(body))
        stay.take(len(body))
    return body


async def _arriving(request: web.BaseRequest, stay: Stay) -> bytes:
    _check_size(request.content_length or 0)
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = bytearray()
    async with asyncio.timeout(BODY_SECONDS):
        async for chunk in request.content.iter_any():
            body += chunk
            _check_size(len(body))
            stay.take(len(chunk))
    return bytes(body)


def _check_size(size: int) -> None:
    if size > BODY_BYTES:
        raise Rejected("over 1 MiB", status=413)
