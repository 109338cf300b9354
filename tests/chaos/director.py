"""Plays the schedule: hits targets when their time comes, keeps the roles running, and times every recovery."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, Protocol

from tests.chaos.recovery import Recoveries, Recovery
from tests.chaos.schedule import Fault
from tests.chaos.stack import Stack
from tests.chaos.tail import Events

ALONE: Final = "up"


class Target(Protocol):
    """A role, a service or a wire."""

    def hit(self, fault: Fault) -> bool:
        """Begin a fault; False when it is down already."""
        ...

    def back_since(self) -> float | None:
        """Since when it is back after the last fault; None while it is away."""
        ...


class Director:
    """`tick` often, `strike` while faults shall come."""

    def __init__(self, stack: Stack, events: Events, faults: Iterable[Fault]) -> None:
        self.recoveries = Recoveries(self._tell)
        self._log = stack.door.directory / "faults.log"
        self._stack = stack
        self._events = events
        self._faults = deque(faults)
        self._away: dict[str, Fault] = {}  # by target
        self._targets: Mapping[str, Target] = {**stack.roles, **stack.services, **stack.wires}

    @property
    def is_over(self) -> bool:
        """Whether everything that was hit is back."""
        return not self._away

    def strike(self, elapsed: float, now: float) -> None:
        """Play the faults that are due; what is down already, or hardly back, is hit when it works again.

        A service that is hardly back is left alone by all of them, so that its recovery is its own.
        """
        if any(self.recoveries.is_recovering(name, now) for name in self._stack.services):
            return
        later: list[Fault] = []
        while self._faults and self._faults[0].at <= elapsed:
            fault = self._faults.popleft()
            if not self._may_hit(fault.target, now) or not self._targets[fault.target].hit(fault):
                later.append(fault)
                continue
            self.recoveries.hit(fault.target, fault.label)
            self._away[fault.target] = fault
        self._faults.extendleft(reversed(later))

    def _may_hit(self, target: str, now: float) -> bool:
        return target not in self._away and not self.recoveries.is_recovering(target, now)

    def tick(self, now: float) -> None:
        """Look after the roles, and time what is back."""
        for kept in self._stack.roles.values():
            kept.tick(now)
        for target, fault in tuple(self._away.items()):
            if (since := self._targets[target].back_since()) is not None:
                del self._away[target]
                self.recoveries.begin(target, Recovery(label=fault.label, since=since, flows=self._flows(fault, since)))
        opened = [service.back_since() or 0.0 for service in self._stack.services.values()]
        self.recoveries.tick(now, not_before=max(opened, default=0.0))

    def _flows(self, fault: Fault, since: float) -> Callable[[], bool]:
        """A role works once it has done some work; for all else an event has to reach the file."""
        kept = self._stack.roles.get(fault.target)
        if kept is None or fault.target == ALONE:
            return lambda: self._events.last_at > since
        return kept.works

    def _tell(self, sentence: str) -> None:
        """A line with the wall clock, to be read beside the logs of the roles."""
        with self._log.open("a") as log:
            log.write(f"{datetime.now(UTC):%H:%M:%S.%f} {sentence}\n")
