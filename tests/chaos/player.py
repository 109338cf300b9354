"""Plays one hard fault at a time, in a thread of its own, and holds each to being seen."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from tests.chaos.fault import Fault
from tests.chaos.scene import Scene
from tests.chaos.troubles import TROUBLES

SEEN_SECONDS: Final = 40.0  # the pool waits ten seconds for a lock before it says so
_POLL_SECONDS: Final = 0.1


class Player:
    """A target of faults. Its thread lives as long as it does: a child dies with the thread that started it."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="player")
        self._work: Future[None] | None = None
        self._over_at: float | None = 0.0
        self.shared = False  # what is being played now was seen, and others may strike beside it
        self.seen: defaultdict[str, Counter[str]] = defaultdict(Counter)  # by label: what, how often
        self.played: set[str] = set()  # kinds
        self.unseen: list[str] = []
        self.traffic_is_over = False  # then nobody may meet what is away
        self.too_late: list[Fault] = []  # the traffic was over before they were seen

    def hit(self, fault: Fault) -> bool:
        """Begin a fault; False while one is under way."""
        if self._over_at is None:
            return False
        self._over_at, self.shared = None, False
        self._work = self._thread.submit(self._play, fault)
        return True

    def back_since(self) -> float | None:
        """When the last one was over; None while it lasts.

        Raises:
            RuntimeError: it could not be played; that is the kit's trouble, not a result.
        """
        if self._over_at is None and self._work is not None and self._work.done():
            if (trouble := self._work.exception()) is not None:
                raise RuntimeError(f"a fault could not be played: {trouble!r}") from trouble
            self._over_at = time.monotonic()
        return self._over_at

    def close(self) -> None:
        """Return once the one under way is over."""
        self._thread.shutdown(wait=True)

    def _play(self, fault: Fault) -> None:
        trouble = TROUBLES[fault.kind]
        try:
            with trouble.play(self._scene, fault.how) as seen:
                self._judge(fault, _wait(seen))
                self.shared = trouble.shared
                time.sleep(fault.away)
        finally:
            self.shared = False

    def _judge(self, fault: Fault, what: str) -> None:
        if not what and self.traffic_is_over:
            self.too_late.append(fault)
            return
        self.played.add(fault.kind)
        if what:
            self.seen[fault.label][what] += 1
        else:
            self.unseen.append(f"{fault.label} was played and not seen within {SEEN_SECONDS:g} s")


def _wait(seen: Callable[[], str]) -> str:
    deadline = time.monotonic() + SEEN_SECONDS
    while not (what := seen()) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return what
