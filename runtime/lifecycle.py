"""From start to drain: a role runs until SIGTERM, SIGINT or SIGHUP, then has 20 s to finish; exit code 0 either way.

SIGHUP drains like the others for as long as there is no config to read again; under `nohup` it stays ignored.
"""

from __future__ import annotations

import asyncio
import ctypes
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
# glibc's `mallopt`: parameter and value. Else it gives the top of its heap back after each batch and takes it anew for
# the next, page by page: 9,000 page faults a second at the door, a tenth of its CPU, by the luck of the layout.
HEAP: Final = {-1: 16 * 1024 * 1024, -2: 1024 * 1024, -3: 4 * 1024 * 1024}  # trim threshold, top pad, mmap threshold

Role = Callable[[asyncio.Event], Awaitable[None]]


def run_process(role: Role, *, leaving_seconds: float = 0) -> None:
    """Run the role on a new event loop (uvloop where it is installed) until it ends.

    `leaving_seconds` is what the role takes before it begins to drain, on top of the 20 s.
    Whatever the role raises is raised here; a drain that is cut off at the deadline is no error, because what was
    not acked comes again.
    """
    raise_limit()
    keep_freed_memory()
    gc.freeze()
    gc.set_threshold(GARBAGE_AFTER)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_until_signal(role, drain.PROCESS + leaving_seconds))


def keep_freed_memory() -> None:
    """What a batch frees stays ours for the next one, up to 16 MiB; without glibc nothing changes."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        for parameter, value in HEAP.items():
            libc.mallopt(parameter, value)


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
