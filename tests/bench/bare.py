"""Bare aiohttp, the limit of any door written with it: reads the body, answers 200, keeps nothing.

`python -m tests.bench.bare PORT application|server`, in the same process shape as ours: one process, uvloop, no
access log.
"""

from __future__ import annotations

import asyncio
import sys

import uvloop
from aiohttp import web


async def _answer(request: web.BaseRequest) -> web.Response:
    await request.read()
    return web.Response()


def _runner(shape: str) -> web.AppRunner | web.ServerRunner:
    if shape == "server":
        return web.ServerRunner(web.Server(_answer, access_log=None))
    application = web.Application()
    application.router.add_post("/{path:.*}", _answer)
    return web.AppRunner(application, access_log=None)


async def _serve(port: int, shape: str) -> None:
    runner = _runner(shape)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), sys.argv[2]))
