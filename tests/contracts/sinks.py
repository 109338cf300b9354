"""The targets that the contract of a sink is tried on. A new sink adds its line to `RIGS`."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol, get_args
from unittest import mock

from aiohttp import web
from pydantic import TypeAdapter

from schemas.envelope import Envelope, Kind
from tests.services.customer import Customer, a_customer
from tests.services.full_disk import a_disk_that_holds
from workers.sinks import AnySink

NUMBER: Final = "+8613800000021"  # what no error may repeat
AT: Final = datetime(2026, 11, 21, 9, 0, 0, tzinfo=UTC)
KINDS: Final[Sequence[str]] = [get_args(one.model_fields["kind"].annotation)[0] for one in get_args(AnySink)]

_HALF_AN_EVENT: Final = 60
_PATIENCE_SECONDS: Final = 10.0
_SETTINGS: Final[TypeAdapter[AnySink]] = TypeAdapter(AnySink)


def now() -> datetime:
    """The clock that sinks are opened with."""
    return datetime.now(UTC)


def an_event(n: int) -> Envelope:
    """One event as correlate publishes it; two of the same number are the same."""
    body = f'{{"specversion":"1.0","id":"event-{n}","data":{{"caller":"{NUMBER}","text":"呼叫 {n}"}}}}'.encode()
    return Envelope(id=f"event-{n}", kind=Kind.EVENT, source="huawei-bj", at=AT, body=body, route="call.completed.x")


def two_lines(event: Envelope) -> Envelope:
    """What no file of lines can hold: no event is ever written so."""
    assert isinstance(event.body, bytes)
    return replace(event, body=event.body.replace(b",", b",\n", 1))


@dataclass(frozen=True)
class Held:
    """A target that has got something and is slow: nothing comes of it until it is let go."""

    reached: Callable[[], Awaitable[object]]
    let_go: Callable[[], None]


class SinkRig(Protocol):
    """One kind of sink, with a target of this test's own that outlives each opened sink."""

    def settings(self) -> AnySink: ...

    def received(self) -> Sequence[bytes]:
        """All that the target holds: of events, and of what is none."""
        ...

    def refusing(self) -> AbstractContextManager[None]:
        """The target takes nothing: its disk is full, its door answers 503."""
        ...

    def holding(self) -> AbstractContextManager[Held]:
        """The first thing that reaches the target from now on is held there until the end, and nothing else is."""
        ...

    def refused_alone(self, event: Envelope) -> Envelope:
        """The event, made so that the target refuses it for good."""
        ...


@dataclass(frozen=True)
class FileRig:
    """A sink that writes below a `path`; `read` tells what is there."""

    kind: str
    path: Path
    read: Callable[[Path], Sequence[bytes]]

    def settings(self) -> AnySink:
        return _SETTINGS.validate_python({"name": "a-file", "kind": self.kind, "path": self.path})

    def received(self) -> Sequence[bytes]:
        return self.read(self.path)

    def refusing(self) -> AbstractContextManager[None]:
        """Half an event still fits."""
        return a_disk_that_holds((self.path.stat().st_size if self.path.is_file() else 0) + _HALF_AN_EVENT)

    @contextmanager
    def holding(self) -> Iterator[Held]:
        """A disk whose first fsync does not return."""
        first, reached, go_on, fsync = threading.Lock(), threading.Event(), threading.Event(), os.fsync

        def slow_fsync(fd: int) -> None:
            if first.acquire(blocking=False):
                reached.set()
                go_on.wait(_PATIENCE_SECONDS)
            fsync(fd)

        with mock.patch.object(os, "fsync", slow_fsync):
            yield Held(lambda: asyncio.to_thread(reached.wait, _PATIENCE_SECONDS), go_on.set)
            go_on.set()

    def refused_alone(self, event: Envelope) -> Envelope:
        return two_lines(event)


@dataclass(frozen=True)
class WebhookRig:
    customer: Customer

    def settings(self) -> AnySink:
        return self.customer.sink()

    def received(self) -> Sequence[bytes]:
        return [*self.customer.received.values()]

    @contextmanager
    def refusing(self) -> Iterator[None]:
        async def unavailable(_: web.Request) -> web.Response:
            return web.Response(status=503)

        with mock.patch.object(self.customer, "answer", unavailable):
            yield

    @contextmanager
    def holding(self) -> Iterator[Held]:
        reached, go_on = asyncio.Event(), asyncio.Event()

        async def slow(_: web.Request) -> web.Response:
            if not reached.is_set():
                reached.set()
                await go_on.wait()
            return web.Response()

        with mock.patch.object(self.customer, "answer", slow):
            yield Held(reached.wait, go_on.set)
            go_on.set()

    def refused_alone(self, event: Envelope) -> Envelope:
        async def picky(request: web.Request) -> web.Response:
            return web.Response(status=422 if request.headers["webhook-id"] == event.id else 200)

        self.customer.answer = picky
        return event


Rig = Callable[[Path], AbstractAsyncContextManager[SinkRig]]


@asynccontextmanager
async def _webhook(_: Path) -> AsyncIterator[SinkRig]:
    async with a_customer() as customer:
        yield WebhookRig(customer)


def files(kind: str, read: Callable[[Path], Sequence[bytes]]) -> Rig:
    """The rig of a sink of that kind that writes below a `path`."""

    @asynccontextmanager
    async def rig(directory: Path) -> AsyncIterator[SinkRig]:
        yield FileRig(kind=kind, path=directory / "out", read=read)

    return rig


def lines(path: Path) -> Sequence[bytes]:
    """The lines of a file, and what stands after the last of them."""
    return [line for line in path.read_bytes().split(b"\n") if line] if path.exists() else []


RIGS: Final[Mapping[str, Rig]] = {
    "webhook": _webhook,
    "jsonl": files("jsonl", lines),
}
