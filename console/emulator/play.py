"""Plays a whole run against one source at the door: `play(settings) -> Played`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp

from console.emulator.book import Book
from console.emulator.calls import build_calls
from console.emulator.deliver import Courier
from console.emulator.plan import Push, plan
from console.emulator.recordings import Recordings, serve_recordings
from console.emulator.settings import EmulatorSettings, Played
from console.emulator.truth import TruthFile, open_truth

__all__ = ["EmulatorSettings", "Played", "play"]

Progress = Callable[[int, int], None]


async def play(settings: EmulatorSettings, *, on_progress: Progress | None = None) -> Played:
    """Send all calls, keep the truth file, serve recordings to the end of the linger, and return the totals."""
    calls = build_calls(seed=settings.seed, start=settings.start, calls=settings.calls)
    pushes = plan(settings, calls)
    book = Book(seed=settings.seed, calls=calls, pushes=pushes)
    async with _recordings(settings) as recordings:
        book.played.faults = recordings.faults
        with open_truth(settings.truth) as truth:
            async with _client(settings) as session:
                await _Player(settings, session, book, truth, on_progress).run(pushes)
            await truth.write(book.end_line())
        await _linger(settings.linger_seconds)
    return book.played


class _Player:
    """Runs the pushes in order, at most one at a time for each call."""

    def __init__(
        self,
        settings: EmulatorSettings,
        session: aiohttp.ClientSession,
        book: Book,
        truth: TruthFile,
        on_progress: Progress | None,
    ) -> None:
        self._settings = settings
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._courier = Courier(settings, session, self._slots, book.played.faults)
        self._book = book
        self._truth = truth
        self._on_progress = on_progress
        self._last: dict[int, asyncio.Event] = {}
        self._calls_over = 0

    async def run(self, pushes: list[Push]) -> None:
        """Start each push in its turn; a push waits for the earlier ones of its calls, which never wait for it."""
        clock = asyncio.get_running_loop().time
        began, items = clock(), 0
        async with asyncio.TaskGroup() as tasks:
            for push in pushes:
                if self._settings.rate:
                    await asyncio.sleep(began + items / self._settings.rate - clock())
                async with self._slots:  # not far ahead of what can be sent
                    self._start(tasks, push)
                items += len(push.items)

    def _start(self, tasks: asyncio.TaskGroup, push: Push) -> None:
        before = [self._last[call] for call in push.calls if call in self._last]
        over = asyncio.Event()
        self._last |= dict.fromkeys(push.calls, over)
        tasks.create_task(self._push(push, before, over))

    async def _push(self, push: Push, before: list[asyncio.Event], over: asyncio.Event) -> None:
        """Everything is on disk before `over` lets the next push of these calls go."""
        for event in before:
            await event.wait()
        if self._book.wants(push):
            await self._courier.pause(push)
            answer = await self._courier.deliver(push)
            await self._truth.write(self._book.settle(push, answer))
        for line in self._book.close(push):
            await self._truth.write(line)
            self._report()
        over.set()

    def _report(self) -> None:
        self._calls_over += 1
        if self._on_progress:
            self._on_progress(self._calls_over, self._settings.calls)


def _client(settings: EmulatorSettings) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=settings.reply_timeout_seconds),
        connector=aiohttp.TCPConnector(limit=settings.concurrency),
        cookie_jar=aiohttp.DummyCookieJar(),
    )


@asynccontextmanager
async def _recordings(settings: EmulatorSettings) -> AsyncIterator[Recordings]:
    """The caller's recording API, or one of our own while we play."""
    if settings.recordings:
        yield settings.recordings
        return
    own = Recordings(seed=settings.seed, app_key=settings.app_key, app_secret=settings.app_secret)
    async with serve_recordings(own, listen=settings.recordings_listen):
        yield own


async def _linger(seconds: float | None) -> None:
    if seconds is None:
        await asyncio.Event().wait()
    elif seconds:
        await asyncio.sleep(seconds)
