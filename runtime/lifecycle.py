"""From start to drain: a role runs until SIGTERM or SIGINT, then has 20 s to finish; exit code 0 either way.

SIGHUP means to read the config again; under `nohup` it stays ignored, and from a terminal that is gone it drains.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
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

TERMINAL: Final = "/dev/tty"
GONE_SECONDS: Final = 0.2  # the kernel signals a moment before it takes the terminal away

Role = Callable[[asyncio.Event], Awaitable[None]]


def run_process(role: Role, *, leaving_seconds: float = 0, on_hangup: Callable[[], None] | None = None) -> None:
    """Run the role on a new event loop (uvloop where it is installed) until it ends.

    `on_hangup` is told of a SIGHUP; without it that drains. `leaving_seconds` is what the role takes before it begins
    to drain, on top of the 20 s.
    Whatever the role raises is raised here; a drain that is cut off at the deadline is no error, because what was
    not acked comes again.
    """
    raise_limit()
    keep_freed_memory()
    gc.freeze()
    gc.set_threshold(GARBAGE_AFTER)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_until_signal(role, drain.PROCESS + leaving_seconds, on_hangup))


def keep_freed_memory() -> None:
    """What a batch frees stays ours for the next one, up to 16 MiB; without glibc nothing changes."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        for parameter, value in HEAP.items():
            libc.mallopt(parameter, value)


async def _until_signal(role: Role, drain_seconds: float, on_hangup: Callable[[], None] | None) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        loop.add_signal_handler(signal.SIGHUP, _hangup(stopping, on_hangup))
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


def _hangup(stopping: asyncio.Event, on_hangup: Callable[[], None] | None) -> Callable[[], object]:
    """What SIGHUP does: nobody reads the output of a process that had a terminal and has none any more."""
    if on_hangup is None:
        return stopping.set
    tell = on_hangup
    loop, had_terminal = asyncio.get_running_loop(), _has_terminal()

    def decide() -> None:
        if had_terminal and not _has_terminal():
            log.info("process.terminal_gone")
            stopping.set()
        else:
            tell()

    return lambda: loop.call_later(GONE_SECONDS if had_terminal else 0, decide)


def _has_terminal() -> bool:
    try:
        os.close(os.open(TERMINAL, os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


async def _cut_off(work: asyncio.Future[Any]) -> None:
    log.warning("process.drain_cut_off", reason="unfinished work is left unacked and comes again")
    work.cancel()
    await asyncio.wait({work}, timeout=drain.CUT_OFF)
