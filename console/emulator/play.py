"""Plays a whole run against one source at the door, or against several at once: `play(settings) -> Played`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, fields

import aiohttp

from console.emulator.act import Act
from console.emulator.acts import APIS, build_act
from console.emulator.book import Book
from console.emulator.deliver import Courier
from console.emulator.push import Push
from console.emulator.recordings import Recordings, serve_recordings
from console.emulator.settings import EmulatorSettings, Played
from console.emulator.truth import TruthFile, open_truth

__all__ = ["EmulatorSettings", "Played", "play", "play_all"]

Progress = Callable[[int, int], None]


async def play(settings: EmulatorSettings, *, on_progress: Progress | None = None) -> Played:
    """Send all calls, keep the truth file, serve recordings to the end of the linger, and return the totals."""
    return await play_all([settings], on_progress=on_progress)


async def play_all(parts: Sequence[EmulatorSettings], *, on_progress: Progress | None = None) -> Played:
    """As `play`, with several platforms at once, one source each.

    Truth file, recordings and linger are those of the first, and so is the key that opens the recordings.
    """
    first, progress = parts[0], _Progress(on_progress, sum(part.calls for part in parts))
    async with _recordings(first) as recordings:
        with open_truth(first.truth) as truth:
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(_play_part(part, recordings, truth, progress.one_more)) for part in parts]
            played = [task.result() for task in running]
            whole = _sum(played, recordings.faults)
            sources = {part.source: asdict(one) for part, one in zip(parts, played, strict=True)}
            await truth.write({"type": "end", "seed": first.seed} | asdict(whole) | {"sources": sources})
        await _linger(first.linger_seconds)
    return whole


async def _play_part(
    settings: EmulatorSettings, recordings: Recordings, truth: TruthFile, on_call: Callable[[], None]
) -> Played:
    act = build_act(settings, recordings)
    book = Book(act=act, about={"source": settings.source, "platform": settings.platform})
    async with _client(settings, act) as session:
        player = _Player(settings=settings, session=session, act=act, book=book, truth=truth, on_call=on_call)
        await player.run()
    return book.played


def _sum(played: Sequence[Played], faults: list[str]) -> Played:
    """The totals; the list of faults stays that of the recordings, which may still find some."""
    names = [field.name for field in fields(Played) if field.name != "faults"]
    whole = Played(**{name: sum(getattr(one, name) for one in played) for name in names}, faults=faults)
    faults += [fault for one in played for fault in one.faults]
    return whole


class _Progress:
    def __init__(self, on_progress: Progress | None, calls: int) -> None:
        self._on_progress = on_progress
        self._calls = calls
        self._over = 0

    def one_more(self) -> None:
        self._over += 1
        if self._on_progress:
            self._on_progress(self._over, self._calls)


class _Player:
    """Runs the pushes in order, at most one at a time for each call."""

    def __init__(
        self,
        *,
        settings: EmulatorSettings,
        session: aiohttp.ClientSession,
        act: Act,
        book: Book,
        truth: TruthFile,
        on_call: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._act = act
        self._courier = Courier(settings, act, session, self._slots, book.played.faults)
        self._book = book
        self._truth = truth
        self._on_call = on_call
        self._last: dict[int, asyncio.Event] = {}

    async def run(self) -> None:
        """Start each push in its turn; a push waits for the earlier ones of its calls, which never wait for it."""
        clock = asyncio.get_running_loop().time
        began, items = clock(), 0
        async with asyncio.TaskGroup() as tasks:
            for push in self._act.pushes:
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
            if sent := self._act.as_it_went(push):
                answer = await self._courier.deliver(sent)
                await self._truth.write(self._book.settle(sent, answer))
        for line in self._book.close(push):
            await self._truth.write(line)
            if line["type"] == "call":
                self._on_call()
        over.set()


def _client(settings: EmulatorSettings, act: Act) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=act.reply_seconds),
        connector=aiohttp.TCPConnector(limit=settings.concurrency),
        cookie_jar=aiohttp.DummyCookieJar(),
    )


@asynccontextmanager
async def _recordings(settings: EmulatorSettings) -> AsyncIterator[Recordings]:
    """The caller's recording API, or one of our own while we play."""
    if settings.recordings:
        yield settings.recordings
        return
    own = Recordings(seed=settings.seed, app_key=settings.app_key, app_secret=settings.app_secret, apis=APIS)
    async with serve_recordings(own, listen=settings.recordings_listen):
        yield own


async def _linger(seconds: float | None) -> None:
    if seconds is None:
        await asyncio.Event().wait()
    elif seconds:
        await asyncio.sleep(seconds)
