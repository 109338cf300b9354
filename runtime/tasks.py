"""Tasks that run for as long as what they serve: one that ends by itself is never silent.

Then /readyz falls, the log says it, and whoever opened the tasks is cancelled, which closes the process in order and
ends it with exit code 1. It does not stay and say 503: what ended for good never comes back by itself, and no
orchestrator starts a process again because it is not ready.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import structlog

from runtime.verdict import reason_of
from schemas.errors import CallstitchError

log = structlog.get_logger()

Work = Coroutine[Any, Any, None]


class Died(CallstitchError):
    """A background task ended by itself."""


class Watch:
    """Tells whether all the tasks still run; `ended` names the one that does not, and how it ended."""

    def __init__(self) -> None:
        self.ended = ""

    @property
    def alive(self) -> bool:
        """Whether none ended by itself."""
        return not self.ended


@asynccontextmanager
async def watched(*works: Work) -> AsyncIterator[Watch]:
    """Background tasks for as long as the context is open; they end side by side, when it is left.

    Not a TaskGroup, which would wrap the caller's own errors into an ExceptionGroup.

    Raises:
        Died: one of them ended by itself; what the context holds was cancelled.
    """
    owner, watch, leaving = asyncio.current_task(), Watch(), False
    assert owner is not None

    def tell(task: asyncio.Task[None]) -> None:
        if leaving or watch.ended or owner.cancelling():
            return
        watch.ended = f"{name_of(task)} {_how(task)}"
        log.error("task.ended", task=name_of(task), reason=_how(task))
        owner.cancel()

    tasks = [asyncio.create_task(work) for work in works]
    for task in tasks:
        task.add_done_callback(tell)
    try:
        yield watch
    except asyncio.CancelledError:
        if not watch.ended or owner.uncancel():
            raise
        raise Died(f"a background task ended by itself: {watch.ended}") from None
    else:
        if watch.ended:
            owner.uncancel()
            raise Died(f"a background task ended by itself: {watch.ended}")
    finally:
        leaving = True
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def lasting(work: Work, over: asyncio.Event, *, name: str) -> None:
    """Run work that may end only once `over` is set.

    Raises:
        Died: it ended before; an error of its own is raised as it is.
    """
    await work
    if not over.is_set():
        log.error("task.ended", task=name, reason="it returned")
        raise Died(f"a background task ended by itself: {name} returned")


def name_of(task: asyncio.Task[None]) -> str:
    """The function that it runs."""
    return str(getattr(task.get_coro(), "__qualname__", task.get_name()))


def _how(task: asyncio.Task[None]) -> str:
    if task.cancelled():
        return "it was cancelled"
    error = task.exception()
    return reason_of(error) if isinstance(error, Exception) else "it returned"
