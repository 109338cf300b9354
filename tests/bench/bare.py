"""Bare aiohttp, the limit of any door written with it: reads the body, answers 200, keeps nothing.

`python -m tests.bench.bare PORT application|server`, in the same process shape as ours: one process, uvloop, no
access log, and the memory and garbage settings of our roles.
"""

from __future__ import annotations

import asyncio
import sys

from aiohttp import web

from runtime.lifecycle import run_process


async def _answer(request: web.BaseRequest) -> web.Response:
    await request.read()
    return web.Response()


def _runner(shape: str) -> web.AppRunner | web.ServerRunner:
    if shape == "server":
        return web.ServerRunner(web.Server(_answer, access_log=None))
    application = web.Application()
    application.router.add_post("/{path:.*}", _answer)
    return web.AppRunner(application, access_log=None)


async def _serve(port: int, shape: str, stopping: asyncio.Event) -> None:
    runner = _runner(shape)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await stopping.wait()
    await runner.cleanup()


if __name__ == "__main__":
    run_process(lambda stopping: _serve(int(sys.argv[1]), sys.argv[2], stopping))
