"""An answer that the door writes by itself is the one that aiohttp would write."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import pytest
from aiohttp import web

from ingest.response import response
from schemas.notification import Reply
from tests.services import ports

REPLIES: Final = {
    "Huawei": Reply(),
    "Aliyun": Reply(content_type="application/json", body=b'{"code":0,"msg":"ok"}'),
    "Jiuyun": Reply(content_type="application/xml;charset=utf-8", body="<msg>成功</msg>".encode()),
    "no content": Reply(status=204),
}
HEADS: Final = {
    "kept alive": "HTTP/1.1",
    "closed": "HTTP/1.1\r\nConnection: close",
    "HTTP/1.0": "HTTP/1.0",
    "HTTP/1.0 kept alive": "HTTP/1.0\r\nConnection: keep-alive",
}


@asynccontextmanager
async def serving(reply: Reply) -> AsyncIterator[int]:
    """A server that answers `/ours` as the door does, and anything else by aiohttp's own rules."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        if request.path == "/ours":
            return response(request, reply)
        headers = {"Content-Type": reply.content_type} if reply.content_type else None
        return web.Response(status=reply.status, body=reply.body, headers=headers)

    runner = web.ServerRunner(web.Server(handle, access_log=None))
    await runner.setup()
    port = ports.free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield port
    finally:
        await runner.cleanup()


async def heard(port: int, path: str, head: str, *, keeps: bool) -> bytes:
    """All that comes back until the connection is closed; one that stays open carries a second request at once."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    first = f"POST {path} {head}\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}"
    last = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    writer.write((first + last if keeps else first).encode())
    async with asyncio.timeout(10):
        found = await reader.read()
    writer.close()
    await writer.wait_closed()
    return re.sub(rb"Date: [A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT\r\n", b"Date\r\n", found)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("platform", REPLIES)
async def test_an_answer_is_byte_for_byte_that_of_aiohttp(platform: str, head: str) -> None:
    keeps = head.endswith("kept alive")
    async with serving(REPLIES[platform]) as port:
        ours, aiohttps = [await heard(port, path, HEADS[head], keeps=keeps) for path in ("/ours", "/aiohttp")]
    assert ours == aiohttps
    assert ours.count(b"Date\r\n") == (2 if keeps else 1)
