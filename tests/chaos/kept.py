"""A role under supervision: hit by faults, started again as a container would be, and every exit judged."""

from __future__ import annotations

import http.client
import resource
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from console.app import EXIT_UNAVAILABLE
from console.sabotage import CRASH_CODE, VARIABLE
from tests.chaos.fault import Fault
from tests.e2e.programs import Role, request

RESTART_SECONDS: Final = 1.0  # between two starts, when a start failed because something is away
TERM_SECONDS: Final = 20.0  # the promise
TERM_PATIENCE_SECONDS: Final = 60.0  # on a machine that is busy with us; then it is killed and told


@dataclass(kw_only=True)
class Exits:
    """What ended and how, over all roles."""

    refused_starts: int = 0  # exit 69: something was away
    slow_drains: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


class Kept:
    """One role; `tick` looks after it, and nothing here blocks for long."""

    def __init__(self, role: Role, *, proof: str, exits: Exits, sabotage: str | None = None) -> None:
        self.role = role
        self._started_at = 0.0
        self._proof = proof  # the metric that is above zero once it works; "" = /readyz is all there is to see
        self._exits = exits
        self._sabotage = sabotage
        self._ending: Fault | None = None
        self._ending_since = 0.0
        self._start_at: float | None = None
        self.files: int | None = None  # how many descriptors it may have, from its next start on

    def start(self) -> None:
        """Start it; with its sabotage until that has struck once."""
        environ = {k: v for k, v in self.role.environ.items() if k != VARIABLE}
        self.role.environ = {**environ, **({VARIABLE: self._sabotage} if self._sabotage else {})}
        self.role.start(ready=False)
        if self.files is not None:  # before it has looked how many it may have
            resource.prlimit(self.role.process.pid, resource.RLIMIT_NOFILE, (self.files, self.files))
        self._started_at = time.monotonic()
        self._start_at = None

    def hit(self, fault: Fault) -> bool:
        """Kill or terminate it; False when it is down already."""
        if self._ending or self._start_at is not None or self.role.process.poll() is not None:
            return False
        self._ending, self._ending_since = fault, time.monotonic()
        self.role.process.send_signal(signal.SIGKILL if fault.kind == "kill" else signal.SIGTERM)
        return True

    def tick(self, now: float) -> None:
        """Start it again when it ended; kill it when it does not end."""
        if self._start_at is not None:
            if now >= self._start_at:
                self.start()
            return
        code = self.role.process.poll()
        if code is None:
            self._watch_drain(now)
            return
        fault, self._ending = self._ending, None
        self._judge(code, fault, now)
        self._start_at = now + (fault.away if fault else RESTART_SECONDS)

    def back_since(self) -> float | None:
        """When its process started; None while it is down or about to end."""
        up = self._start_at is None and self._ending is None and self.role.process.poll() is None
        return self._started_at if up else None

    def works(self) -> bool:
        """Whether this process has done work since it started."""
        if self.back_since() is None:
            return False
        if not self._proof:
            return self.role.is_ready()
        try:
            metrics = request(self.role.admin, "GET", "/metrics").body.decode()
        except (OSError, http.client.HTTPException):
            return False
        return any(_counts(line) for line in metrics.splitlines() if line.startswith(self._proof))

    def _watch_drain(self, now: float) -> None:
        if self._ending and self._ending.kind == "term" and now - self._ending_since > TERM_PATIENCE_SECONDS:
            self._exits.wrong.append(f"{self.role.name} did not end within {TERM_PATIENCE_SECONDS:g} s of SIGTERM")
            self.role.process.kill()
            self._ending = Fault(at=0, kind="kill", how="kill", target=self.role.name, away=0)

    def _judge(self, code: int, fault: Fault | None, now: float) -> None:
        name = self.role.name
        if fault is not None and fault.kind == "kill":
            return
        if fault is not None:
            seconds = now - self._ending_since
            if seconds > TERM_SECONDS:
                self._exits.slow_drains.append(f"{name} took {seconds:.1f} s to drain")
            # SIGTERM before the handler is there, or during a start that fails because something is away
            if code not in (0, EXIT_UNAVAILABLE, -signal.SIGTERM):
                self._exits.wrong.append(f"{name} ended with exit code {code} on SIGTERM")
        elif code == EXIT_UNAVAILABLE:
            self._exits.refused_starts += 1
        elif code == CRASH_CODE and self._sabotage:
            self._sabotage = None
        else:
            self._exits.wrong.append(f"{name} ended by itself with exit code {code}")


def end_in_order(roles: Sequence[Kept]) -> list[str]:
    """SIGTERM for all at once; one sentence for each that does not end with exit code 0."""
    for kept in roles:
        kept.role.process.send_signal(signal.SIGTERM)
    found = []
    for kept in roles:
        try:
            code = kept.role.process.wait(TERM_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            kept.role.kill()
            code = -signal.SIGKILL
        if code:
            found.append(f"{kept.role.name} ended with exit code {code} at the end of the run")
    return found


def _counts(line: str) -> bool:
    return float(line.rpartition(" ")[2]) > 0
