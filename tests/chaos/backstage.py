"""What the kit itself serves, on a loop in a thread of its own: the webhook's receiver and the proxies.

The rest of the kit waits for processes and may block; nothing here does.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from aiohttp import web
from yarl import URL

from tests.chaos.fault import Fault
from tests.chaos.receiver import Receiver
from tests.services.proxy import Proxy

CALL_SECONDS: Final = 30.0

T = TypeVar("T")


class Cuttable:
    """A wire as a target of faults."""

    def __init__(self, wire: Proxy, loop: asyncio.AbstractEventLoop) -> None:
        self._wire = wire
        self._loop = loop
        self._back_since: float | None = 0.0

    def hit(self, fault: Fault) -> bool:
        """Begin a fault."""
        self._back_since = None
        asyncio.run_coroutine_threadsafe(self._play(fault), self._loop)
        return True

    def back_since(self) -> float | None:
        """When the last fault was over; None before."""
        return self._back_since

    async def _play(self, fault: Fault) -> None:
        """Cut all connections, refuse them for a while, or hold back what the far side says."""
        match fault.how:
            case "cut":
                self._wire.cut()
            case "refuse":
                self._wire.refuse()
                await asyncio.sleep(fault.away)
                await self._wire.accept()
            case "stall":
                self._wire.mute()
                await asyncio.sleep(fault.away)
                self._wire.unmute()
        self._back_since = time.monotonic()


class Backstage:
    """Opens wires and the receiver; every method may be called from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._wires: list[Proxy] = []
        self._runners: list[web.ServerRunner] = []

    def serve(self, receiver: Receiver) -> str:
        """The URL at which the receiver listens."""
        return self._call(self._serve(receiver))

    def wire(self, target: str) -> tuple[str, Cuttable]:
        """A URL that leads to the target through a proxy, and that proxy as a target of faults."""
        wire = self._call(self._wire(target))
        return wire.url, Cuttable(wire, self._loop)

    def close(self) -> None:
        """Stop serving."""
        self._call(self._close())

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CALL_SECONDS)

    async def _serve(self, receiver: Receiver) -> str:
        runner = web.ServerRunner(web.Server(receiver.answer, access_log=None), shutdown_timeout=1.0)
        await runner.setup()
        self._runners.append(runner)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}/calls"

    async def _wire(self, target: str) -> Proxy:
        wire = Proxy(URL(target))
        await wire.accept()
        self._wires.append(wire)
        return wire

    async def _close(self) -> None:
        for runner in self._runners:
            await runner.cleanup()
        for wire in self._wires:
            await wire.close()


@contextmanager
def open_backstage() -> Iterator[Backstage]:
    """A backstage that serves until the context ends."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="backstage", daemon=True)
    thread.start()
    backstage = Backstage(loop)
    try:
        yield backstage
    finally:
        backstage.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
