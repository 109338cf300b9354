"""Plays the schedule: hits targets when their time comes, keeps the roles running, and times every recovery."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, Protocol

from tests.chaos.fault import Fault
from tests.chaos.recovery import Recoveries, Recovery
from tests.chaos.stack import Stack
from tests.chaos.tail import Events
from tests.chaos.troubles import TROUBLES

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

    def __init__(self, stack: Stack, events: Events, faults: Iterable[Fault], hard: Iterable[Fault]) -> None:
        self.recoveries = Recoveries(self._tell)
        self._log = stack.door.directory / "faults.log"
        self._stack = stack
        self._events = events
        self._faults = deque(faults)
        self._hard = deque(hard)
        self._player = stack.player
        self._looked_at = 0.0
        self._elapsed = 0.0  # by the clock of the easy faults, which stands still while a hard one wants to be alone
        self._away: dict[str, Fault] = {}  # by target
        self._targets: Mapping[str, Target] = {
            **stack.roles, **stack.services, **stack.wires, **dict.fromkeys(TROUBLES, stack.player)
        }  # fmt: skip

    @property
    def is_over(self) -> bool:
        """Whether everything that was hit is back."""
        return not self._away

    def strike(self, elapsed: float, now: float) -> None:
        """Play the faults that are due; what is down already, or hardly back, is hit when it works again.

        A service that is hardly back is left alone by all of them, so that its recovery is its own. A hard fault
        comes when everything works, and what is seen of it is its own too.
        """
        passed, self._looked_at = elapsed - self._looked_at, elapsed
        if any(self.recoveries.is_recovering(name, now) for name in self._stack.services):
            return
        if self._player.back_since() is None and not self._player.shared:
            return
        if self._hard and self._hard[0].at <= self._elapsed:
            self._strike_hard(now)
            return
        self._elapsed += passed
        self._strike_easy(now)

    @property
    def unplayed(self) -> list[Fault]:
        """The hard faults that were to come and had no time."""
        return [*self._hard]

    def end_easy_ones(self) -> None:
        """Their time is over; the hard ones that were to come still do."""
        self._faults.clear()

    def _strike_hard(self, now: float) -> None:
        """Begin the next one, once nothing else is under way."""
        if self._away or any(self.recoveries.is_recovering(name, now) for name in self._targets):
            return
        if not all(kept.role.is_ready() for kept in self._stack.roles.values()):
            return  # what is seen of it must be its own
        fault = self._hard.popleft()
        self._targets[fault.target].hit(fault)
        self.recoveries.hit(fault.target, fault.label)
        self._away[fault.target] = fault

    def _strike_easy(self, now: float) -> None:
        later: list[Fault] = []
        while self._faults and self._faults[0].at <= self._elapsed:
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
