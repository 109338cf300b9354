"""The thread that owns the embedded broker's file, and group commit.

While it commits, new steps gather; the next transaction carries them all, so that one fsync serves many publishes.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeVar

import structlog

from runtime.broker.embedded.queues import Hand, Queues
from runtime.files import is_the_files_fault
from runtime.verdict import reason_of
from schemas.errors import CallstitchError, Unavailable, Unconfirmed

_LOOK_AGAIN_SECONDS: Final = 0.05  # a message that waits for its time is at most this late
_RECOVER_SECONDS: Final = 0.5

T = TypeVar("T")
_Result = tuple[asyncio.Future[Any], Any]
_log = structlog.get_logger()


class Needs(Enum):
    """What must have happened to the file before a step counts as done."""

    MEMORY = "nothing"
    WRITTEN = "NORMAL"  # survives a killed process
    SYNCED = "FULL"  # survives a power cut


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    run: Callable[[Queues], Any]
    needs: Needs
    done: asyncio.Future[Any]


class Writer:
    """Runs steps over the queues, in the order in which they were given, except that memory goes before file."""

    def __init__(self, open_queues: Callable[[], Queues], *, file: str) -> None:
        self._open_queues = open_queues
        self._file = file  # its name, for the log
        self._loop = asyncio.get_running_loop()
        self._inbox: queue.SimpleQueue[_Step | None] = queue.SimpleQueue()
        self._closing = False
        self._ended = self._loop.create_future()
        self._more = False
        self.works = False
        self._reason = "not open"

    async def start(self) -> None:
        """Open the file; raises what `open_queues` raises."""
        opened = self._loop.create_future()
        threading.Thread(target=self._main, args=(opened,), name="embedded-broker", daemon=True).start()
        await opened

    @property
    def trouble(self) -> str:
        """Why the file takes no writes; empty while it does."""
        return "" if self.works else f"away: {self._file}: {self._reason}"

    async def lives(self) -> None:
        """Return only when the thread has ended, or raise what ended it."""
        await asyncio.shield(self._ended)

    async def close(self) -> None:
        """Finish what was given, and close the file."""
        self._closing = True
        self._inbox.put(None)
        await asyncio.wait({self._ended})

    def give(self, run: Callable[[Queues], T], *, needs: Needs = Needs.MEMORY) -> asyncio.Future[T]:
        """Do a step; its result, or its error, when what it needs has happened. Cancelled before: it is not done.

        Raises:
            Unavailable: this broker is closed.
            Unconfirmed: (the future) the file could not be written.
        """
        if self._closing:
            raise Unavailable("the embedded broker is closed")
        step = _Step(run=run, needs=needs, done=self._loop.create_future())
        self._inbox.put(step)
        return step.done

    def _main(self, opened: asyncio.Future[None]) -> None:
        try:
            queues = self._open_queues()
        except Exception as error:  # noqa: BLE001 - raised again where the broker is opened
            self._tell([(opened, error)])
            return
        self.works = True
        self._tell([(opened, None)])
        failure: Exception | None = None
        try:
            while self._turn(queues):
                pass
            queues.close_file()
        except Exception as error:  # noqa: BLE001 - told to whoever watches this thread: nobody else would see it
            failure, self._reason = error, reason_of(error)
        self.works = False
        self._tell([(self._ended, failure)])

    def _turn(self, queues: Queues) -> bool:
        steps = self._gather(queues)
        wanted = [step for step in steps if step is not None and not step.done.cancelled()]
        in_memory = [step for step in wanted if step.needs is Needs.MEMORY]
        if in_memory:
            # a programming error in one of them must not end this thread
            self._tell([(step.done, _attempt(step, queues, caught=Exception)) for step in in_memory])
        self._write([step for step in wanted if step.needs is not Needs.MEMORY], queues)
        return None not in steps

    def _gather(self, queues: Queues) -> list[_Step | None]:
        try:
            first = self._inbox.get(timeout=self._patience(queues))
        except queue.Empty:
            return []
        return [first, *(self._inbox.get_nowait() for _ in range(self._inbox.qsize()))]

    def _patience(self, queues: Queues) -> float | None:
        if not self.works:
            return _RECOVER_SECONDS
        if self._more:
            return 0
        return _LOOK_AGAIN_SECONDS if queues.waiting else None

    def _write(self, steps: Sequence[_Step], queues: Queues) -> None:
        try:
            if steps or queues.pressing or not self.works:
                self._transact(steps, queues)
            self._more = queues.pressing
        except Exception as error:  # noqa: BLE001 - told to everyone who waits; the thread lives on
            if len(steps) > 1 and not is_the_files_fault(error):
                for step in steps:  # one of them cannot be stored, and must not keep the others from it
                    self._write([step], queues)
                return
            if is_the_files_fault(error) or not steps:
                self._report(error)
            self._tell([(step.done, _as_a_publisher_sees_it(error)) for step in steps])
        else:
            self._report(None)

    def _transact(self, steps: Sequence[_Step], queues: Queues) -> None:
        synced = any(step.needs is Needs.SYNCED for step in steps)
        queues.begin(synchronous=(Needs.SYNCED if synced else Needs.WRITTEN).value)
        try:
            if not self.works:
                queues.prove_writable()
            # asked again: to begin may have waited for a lock, and whoever gave up publishes again
            waiting = [step for step in steps if not step.done.cancelled()]
            results = [(step.done, _attempt(step, queues, caught=CallstitchError)) for step in waiting]
            handed = queues.commit()
        except BaseException:
            queues.rollback()
            raise
        self._tell(results, handed)

    def _report(self, error: Exception | None) -> None:
        worked, self.works = self.works, error is None
        self._reason = "" if error is None else _reason(error)
        with suppress(OSError):  # the log may be on the disk that is full, and must not end this thread
            if error is not None and worked:
                _log.error("broker.cannot_write", file=self._file, code=_code(error), reason=_reason(error))
            if error is None and not worked:
                _log.info("broker.writes_again", file=self._file)

    def _tell(self, results: Sequence[_Result], handed: Sequence[Hand] = ()) -> None:
        with suppress(RuntimeError):  # the loop was closed before this broker was: nobody is left to be told
            self._loop.call_soon_threadsafe(_deliver, results, handed)


def _attempt(step: _Step, queues: Queues, *, caught: type[Exception]) -> Any:
    try:
        return step.run(queues)
    except caught as error:
        return error


def _deliver(results: Sequence[_Result], handed: Sequence[Hand]) -> None:
    for subscription, rows in handed:
        subscription.give(rows)
    for future, result in results:
        if future.done():
            continue
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)


def _as_a_publisher_sees_it(error: Exception) -> Exception:
    return Unconfirmed(f"the broker's file: {_reason(error)}", why="away") if is_the_files_fault(error) else error


def _reason(error: Exception) -> str:
    """SQLite's own words ("database or disk is full") hold no values; of another error only its type is shown."""
    return str(error) if is_the_files_fault(error) else type(error).__name__


def _code(error: Exception) -> str:
    return getattr(error, "sqlite_errorname", type(error).__name__)
