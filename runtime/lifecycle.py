"""From start to drain: a role runs until SIGTERM, SIGINT or SIGHUP, then has 20 s to finish; exit code 0 either way.

SIGHUP drains like the others for as long as there is no config to read again; under `nohup` it stays ignored.
"""

from __future__ import annotations

import asyncio
import gc
import signal
from asyncio import new_event_loop
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import structlog

from runtime import drain
from runtime.port.descriptors import raise_limit

with suppress(ImportError):  # there is no wheel of it for every platform
    from uvloop import new_event_loop

log = structlog.get_logger()

GARBAGE_AFTER: Final = 20_000  # containers made and not yet freed; a batch makes that many and leaves no cycles

Role = Callable[[asyncio.Event], Awaitable[None]]


def run_process(role: Role, *, leaving_seconds: float = 0) -> None:
    """Run the role on a new event loop (uvloop where it is installed) until it ends.

    `leaving_seconds` is what the role takes before it begins to drain, on top of the 20 s.
    Whatever the role raises is raised here; a drain that is cut off at the deadline is no error, because what was
    not acked comes again.
    """
    raise_limit()
    gc.freeze()
    gc.set_threshold(GARBAGE_AFTER)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_until_signal(role, drain.PROCESS + leaving_seconds))


async def _until_signal(role: Role, drain_seconds: float) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, stopping.set)
    work = asyncio.ensure_future(role(stopping))
    stop = asyncio.ensure_future(stopping.wait())
    await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if not work.done():
        log.info("process.draining", seconds=drain_seconds)
        await asyncio.wait({work}, timeout=drain_seconds)
    if work.done():
        return work.result()
    return await _cut_off(work)


async def _cut_off(work: asyncio.Future[Any]) -> None:
    log.warning("process.drain_cut_off", reason="unfinished work is left unacked and comes again")
    work.cancel()
    await asyncio.wait({work}, timeout=drain.CUT_OFF)
