"""The loops of one process: they end together, and one may come or go while the others run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog

from runtime import drain
from runtime.consume.answering import AnswerLoop
from runtime.consume.loop import StageLoop
from runtime.tasks import lasting

log = structlog.get_logger()

Loop = StageLoop | AnswerLoop


class Crew:
    """Runs loops, each until it is sent away or all are stopped; `patience`: seconds for one to drain."""

    def __init__(self, patience: float = drain.PROCESS) -> None:
        self._patience = patience
        self._ends: dict[Loop, asyncio.Event] = {}
        self._running: dict[Loop, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None

    @property
    def loops(self) -> list[Loop]:
        """Those that are here now."""
        return list(self._ends)

    def add(self, loops: Iterable[Loop]) -> None:
        """Have them run: from now on, or from the start."""
        for loop in loops:
            self._ends[loop] = asyncio.Event()
            if self._group is not None:
                self._start(self._group, loop)

    async def send_away(self, loop: Loop) -> None:
        """Let one drain, and return when it is done, or cut off as a process would be: what is unacked comes again."""
        self._ends.pop(loop).set()
        if (task := self._running.pop(loop, None)) is None:
            return
        _, unfinished = await asyncio.wait({task}, timeout=self._patience)
        if unfinished:
            log.warning("stage.drain_cut_off", stage=loop.name)
            task.cancel()
            await asyncio.wait({task}, timeout=drain.CUT_OFF)

    async def run(self, stopping: asyncio.Event) -> None:
        """All of them until `stopping`, then until each is drained.

        Raises:
            Died: one ended before it was told to; an error of its own is raised as it is.
        """
        async with asyncio.TaskGroup() as group:
            self._group = group
            for loop in self.loops:
                self._start(group, loop)
            await stopping.wait()
            self._group = None
            for end in self._ends.values():
                end.set()

    def _start(self, group: asyncio.TaskGroup, loop: Loop) -> None:
        end = self._ends[loop]
        self._running[loop] = group.create_task(lasting(loop.run(end), end, name=loop.name))
