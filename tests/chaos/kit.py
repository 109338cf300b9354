"""One run: start everything, let the platform push, play the faults, let everything drain, check."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from console.emulator.huawei.privatenumber.calls import build_calls
from console.emulator.huawei.privatenumber.plan import plan
from console.emulator.settings import EmulatorSettings
from tests.chaos.check import Evidence, Findings, check, is_quiet
from tests.chaos.director import Director
from tests.chaos.fault import Fault
from tests.chaos.kept import Kept, end_in_order
from tests.chaos.receiver import Receiver
from tests.chaos.recovery import Recoveries
from tests.chaos.schedule import every_one_fits, hard_ones, schedule
from tests.chaos.settings import Settings
from tests.chaos.stack import Stack, open_stack
from tests.chaos.tail import Events, Sent

TICK_SECONDS: Final = 0.1
QUIET_TICK_SECONDS: Final = 1.0
FIRST_PUSH_SECONDS: Final = 120.0
_SAMPLE_CALLS: Final = 300


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a run found."""

    settings: Settings
    findings: Findings
    recoveries: Recoveries
    receiver: Receiver
    sent: Sent
    events: Events
    silence: float  # seconds without any event, at most, while faults came
    under_fire: int  # notifications that were answered 200 while faults came
    play_seconds: float
    drain_seconds: float
    refused_starts: int
    slow_drains: list[str]
    exits: list[str]  # processes that did not end as they should
    seen: Mapping[str, Mapping[str, int]]  # what was seen of each hard fault, and how often
    unseen: list[str]  # hard faults that nobody saw, or that a long run never played: they prove nothing
    unplayed: list[
        str
    ]  # hard faults that had no time, or whose traffic was over before they were seen: the machine was busy

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong, every process ended as it should, and every fault struck."""
        return not self.findings.all() and not self.exits and not self.unseen


def run(settings: Settings) -> Result:
    """Play it all.

    Raises:
        AssertionError, RuntimeError: the kit itself cannot work, so there is no result.
    """
    with open_stack(settings, calls_for(settings)) as stack:
        return _Run(settings, stack).play()


def calls_for(settings: Settings) -> int:
    """So many calls that the platform pushes for as long as faults come; a call makes some six notifications."""
    start = datetime(2026, 1, 5, 8, tzinfo=UTC)
    sample = EmulatorSettings(
        to="http://unused", platform="huawei_privatenumber", app_key="unused", app_secret="unused", start=start
    )
    pushes = plan(sample, build_calls(seed=settings.seed, start=start, calls=_SAMPLE_CALLS))
    a_call = sum(len(push.items) for push in pushes) / _SAMPLE_CALLS
    return math.ceil(settings.rate * settings.seconds / a_call)


class _Run:
    def __init__(self, settings: Settings, stack: Stack) -> None:
        self._settings = settings
        self._stack = stack
        self._roles: list[Kept] = [*stack.roles.values()]
        self._sent = Sent(stack.emulator.truth_file)
        self._events = Events(settings.directory / "calls.jsonl")
        self._director = Director(stack, self._events, schedule(settings, stack.targets), hard_ones(settings))
        self._under_fire = 0
        self._silence = 0.0
        self._evidence = Evidence(
            sent=self._sent,
            events=self._events,
            receiver=stack.receiver,
            store=stack.store,
            broker=stack.broker,
            queues=stack.queues,
            consumer=stack.consumer,
        )

    def play(self) -> Result:
        """The whole run."""
        self._begin()
        play_seconds = self._push()
        drain_seconds = self._drain()
        findings = check(self._evidence)
        return Result(
            settings=self._settings,
            findings=findings,
            recoveries=self._director.recoveries,
            receiver=self._stack.receiver,
            sent=self._sent,
            events=self._events,
            silence=self._silence,
            under_fire=self._under_fire,
            play_seconds=play_seconds,
            drain_seconds=drain_seconds,
            refused_starts=self._stack.exits.refused_starts,
            slow_drains=self._stack.exits.slow_drains,
            exits=[*self._stack.exits.wrong, *end_in_order(self._roles)],
            seen=self._stack.player.seen,
            unseen=[*self._stack.player.unseen, *self._never_played()],
            unplayed=[fault.label for fault in self._untimely()],
        )

    def _begin(self) -> None:
        """Return once the first push was answered 200."""
        self._stack.emulator.start()
        deadline = time.monotonic() + FIRST_PUSH_SECONDS
        while not self._sent.answered:
            assert time.monotonic() < deadline, f"no push was answered 200; {self._stack.emulator.tail()}"
            self._look()

    def _push(self) -> float:
        """Play faults until the platform is through; the seconds that it took."""
        began = time.monotonic()
        deadline = began + 3 * self._settings.seconds + 120
        while self._sent.end is None and time.monotonic() < deadline:
            self._look()
            elapsed = time.monotonic() - began
            if elapsed < self._settings.seconds:
                self._under_fire = self._sent.notifications
                self._silence = self._events.silence
            else:
                self._director.end_easy_ones()
            self._director.strike(elapsed, now=time.monotonic())
        return time.monotonic() - began

    def _never_played(self) -> list[str]:
        """A short run deals some of the hard faults, one that has time for all of them plays each."""
        if not every_one_fits(self._settings):
            return []
        kinds = {fault.kind for fault in self._untimely()} - self._stack.player.played
        return [f"{kind} was never played" for kind in sorted(kinds)]

    def _untimely(self) -> list[Fault]:
        return [*self._director.unplayed, *self._stack.player.too_late]

    def _drain(self) -> float:
        """Wait until all is quiet, and quiet still a moment later; the seconds that it took."""
        began = time.monotonic()
        if self._stack.consumer is not None:
            self._stack.consumer.hurry()
        quiet = 0
        while quiet < 2 and time.monotonic() < began + self._settings.drain_seconds:
            self._look()
            time.sleep(QUIET_TICK_SECONDS)
            quiet = quiet + 1 if self._is_quiet() else 0
        return time.monotonic() - began

    def _is_quiet(self) -> bool:
        everyone_is_up = self._director.is_over and all(kept.role.is_ready() for kept in self._roles)
        return everyone_is_up and is_quiet(self._evidence)

    def _look(self) -> None:
        """One look at everything, a moment after the last one."""
        time.sleep(TICK_SECONDS)
        assert self._stack.emulator.process.poll() is None, self._stack.emulator.tail()
        self._sent.read()
        self._stack.player.traffic_is_over = self._sent.end is not None
        self._events.read(time.monotonic())
        self._director.tick(time.monotonic())
