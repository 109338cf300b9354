"""A role of a process, a stage or several that are composed: open while nobody holds one of them, else all closed.

So a held stage has no store open: there is nothing in it that could touch one that is being restored, and what is
opened after the release is what lies there then, as at a start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any, Final

import structlog

from console.stations.upgrade import Turn
from runtime import drain
from runtime.consume.crew import Crew, Loop
from runtime.consume.waiting import stopped_within
from runtime.hold.switch import LOOK_SECONDS, Switch
from runtime.hold.word import Word
from runtime.tasks import watched
from schemas.errors import CallstitchError, Unavailable
from workers.config import Config
from workers.process import Commit, Process
from workers.wiring import open_role

AGAIN_SECONDS: Final = 1.0

log = structlog.get_logger()

Beside = Callable[[Process], Iterable[Coroutine[Any, Any, None]]]


class Station:
    """A role with its stages' switches; `beside` gives what else runs while it is open, as it reads the same store.

    `begun` is set once it is open for the first time, or known to be held or to wait for its turn among `all_stages`.
    """

    def __init__(
        self,
        process: Process,
        role: str,
        stages: Sequence[str],
        *,
        part: str | None = None,
        all_stages: Collection[str],
        beside: Beside,
    ) -> None:
        self.role = role
        self.stages = stages
        self.begun = asyncio.Event()
        self._process = process
        self._config = process.config
        self._part = part
        self._beside = beside
        self._switches = [Switch(process.broker, stage, process.message_ids) for stage in stages]
        self._turn = Turn(process.config.store, process.broker, all_stages)
        self._over = asyncio.Event()
        self._open: Process | None = None
        self._work_now: asyncio.Task[None] | None = None
        self._trouble = "opening"

    @property
    def loops(self) -> Sequence[Loop]:
        """Those that run now."""
        return self._open.crew.loops if self._open else ()

    @property
    def held(self) -> Mapping[str, Word]:
        """What the operator said who holds these of its stages."""
        return {switch.name: switch.word for switch in self._switches if switch.word is not None}

    def checks(self) -> Mapping[str, bool | str]:
        """What /readyz tells of it: one that is held is ready, since nothing is broken."""
        if self._open is not None:
            return {loop.name: loop.ready for loop in self.loops}
        if self._turn.reason:
            return {"upgrade": self._turn.reason}
        return dict.fromkeys(self.stages, bool(self.held) or self._trouble)

    async def run(self, stopping: asyncio.Event) -> None:
        """Until `stopping`, then until it is drained.

        Raises:
            CallstitchError: it cannot be opened at the start; later that is tried again.
        """
        while not stopping.is_set():
            if await self._is_held():
                self.begun.set()
                await stopped_within(stopping, LOOK_SECONDS)
                continue
            async with AsyncExitStack() as at_work:
                held = [await at_work.enter_async_context(switch.at_work()) for switch in self._switches]
                self._over.clear()
                async with watched(*(self._ends_with(event) for event in (stopping, *held))):
                    if not any(event.is_set() for event in (stopping, *held)):
                        await self._work()

    async def prepare(self, config: Config, stack: AsyncExitStack) -> Commit:
        """Make ready to go on by another config, as a part of the process does; a held one begins by it."""
        was = self._open
        commits = [await prepare(config, stack) for prepare in was.reloads] if was else []

        async def commit() -> None:
            self._config = config
            if self._open is was:
                for each in commits:
                    await each()
            else:  # opened meanwhile by the old one: once more
                self._over.set()

        return commit

    async def _ends_with(self, event: asyncio.Event) -> None:
        """It is over with this; for ever, as what is watched may not end."""
        await event.wait()
        self._over.set()
        await asyncio.sleep(drain.PROCESS)
        if self._work_now is not None:  # what is unacked comes again, as when a process is cut off
            log.warning("stage.drain_cut_off", stage=self.role)
            self._work_now.cancel()
        await asyncio.Event().wait()

    async def _is_held(self) -> bool:
        try:
            for switch in self._switches:
                await switch.look()
        except Unavailable:
            if not self.begun.is_set():
                raise
        return bool(self.held)

    async def _work(self) -> None:
        """Open it and let it run until it is over, however often it takes to open it."""
        try:
            await self._opened()
        except CallstitchError as error:
            if not self.begun.is_set():
                raise
            if str(error) != self._trouble:
                log.error("stage.not_opened", stage=self.role, reason=str(error))
            self._trouble = str(error)
            await stopped_within(self._over, AGAIN_SECONDS)
        else:
            self._trouble = "opening"

    async def _opened(self) -> None:
        while not await self._turn.has_come():
            self.begun.set()
            if await stopped_within(self._over, AGAIN_SECONDS):
                return
        own = replace(self._process, config=self._config, crew=Crew(), commands={}, reloads=[], looks={})
        async with AsyncExitStack() as stack:
            own.crew.add(await stack.enter_async_context(open_role(own, self.role, part=self._part)))
            for work in self._beside(own):
                await stack.enter_async_context(watched(work))
            self._open = own
            self._process.commands.update(own.commands)
            self.begun.set()
            try:
                async with asyncio.TaskGroup() as tasks:
                    self._work_now = tasks.create_task(own.crew.run(self._over))
            finally:
                self._open = self._work_now = None
                for name in own.commands:
                    self._process.commands.pop(name, None)
