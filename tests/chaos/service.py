"""RabbitMQ or PostgreSQL under faults: stopped or killed and started again in a thread of its own."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from tests.chaos.fault import Fault
from tests.services import ports


class Startable(Protocol):
    """What tests/services offers of a service."""

    @property
    def port(self) -> int:
        """Where it takes connections."""
        ...

    def start(self) -> None:
        """Start it; returns when it takes connections."""
        ...

    def stop(self) -> None:
        """End it in order."""
        ...

    def kill(self) -> None:
        """End it at once."""
        ...

    def close(self) -> None:
        """End it for good and delete its data."""
        ...


class Service:
    """A target of faults; of a cluster one node is hit, and `others_serve` meanwhile.

    Its thread lives as long as it does: a child dies with the thread that started it.
    """

    def __init__(self, name: str, node: Startable, *, others_serve: bool = False) -> None:
        self._node = node
        self._others_serve = others_serve
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._work: Future[None] | None = None
        self._starting = False
        self._opened_at: float | None = 0.0

    def hit(self, fault: Fault) -> bool:
        """Begin a fault; False while one is under way."""
        if self._work is not None and not self._work.done():
            return False
        self._starting, self._opened_at = False, None
        self._work = self._thread.submit(self._play, fault)
        return True

    def back_since(self) -> float | None:
        """When its port opened after the last fault; None while it is away.

        Raises:
            RuntimeError: it did not start again; that is the kit's trouble, not a result.
        """
        if self._work is not None and self._work.done():
            self._work.result()
        if self._opened_at is None and self._starting and ports.answers(self._node.port):
            self._opened_at = time.monotonic()
        return self._opened_at

    def close(self) -> None:
        """End it for good, after a fault that is under way."""
        self._thread.shutdown(wait=True)
        self._node.close()

    def _play(self, fault: Fault) -> None:
        if fault.how == "kill":
            self._node.kill()
        else:
            self._node.stop()
        if self._others_serve:  # work has to flow from now on, and not once it is back
            self._opened_at = time.monotonic()
        time.sleep(fault.away)
        self._starting = True
        self._node.start()
