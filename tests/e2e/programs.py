"""A `callstitch` command as a real process: started, killed and started again, with a log of its own.

Nothing here outlives the test: whoever starts a program ends it, and all die when pytest itself is killed.
"""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from tests.services import debian

ROOT: Final = Path(__file__).parents[2]
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 60.0  # it ends itself after 20 s at most; a busy machine may take longer to tell
POLL_SECONDS: Final = 0.1
LONGEST_POLL_SECONDS: Final = 1.0
REQUEST_SECONDS: Final = 15.0  # the door answers within its own 3 s when the broker is away

T = TypeVar("T")


def wait_for(predicate: Callable[[], T], seconds: float, *, why: Callable[[], str] = str) -> T:
    """The first true value of the predicate; fails the test when there is none in time, and tells `why()`.

    What takes long to answer is asked less often: the machine is for what is waited for.
    """
    deadline = time.monotonic() + seconds
    while True:
        asked = time.monotonic()
        if value := predicate():
            return value
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain; {why()}"
        time.sleep(min(max(POLL_SECONDS, 2 * (time.monotonic() - asked)), LONGEST_POLL_SECONDS))


@dataclass(kw_only=True)
class Program:
    """One `callstitch` command as a process in `directory`, with everything it prints in a log of its own."""

    arguments: Sequence[str]
    directory: Path
    environ: Mapping[str, str] = field(repr=False)
    name: str
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> None:
        """Start it, again after it ended; returns at once."""
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [*debian.dies_with_us(), sys.executable, "-m", "console", *self.arguments],
                cwd=self.directory,
                env={**os.environ, "PYTHONPATH": str(ROOT), **self.environ},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def kill(self) -> None:
        """End it as a power cut would (SIGKILL)."""
        self.process.kill()
        self.process.wait(STOP_SECONDS)

    def terminate(self, seconds: float = STOP_SECONDS) -> int:
        """End it in order (SIGTERM); its exit code, or a failed test when it takes longer than `seconds`."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end within {seconds:g} s of SIGTERM; {self.tail()}") from None

    def wait(self, seconds: float) -> int:
        """The exit code of a program that ends by itself."""
        return self.process.wait(seconds)

    @property
    def log_file(self) -> Path:
        """Both outputs of all its starts."""
        return self.directory / f"{self.name}.log"

    def tail(self) -> str:
        """The end of its log, for a failing test."""
        text = self.log_file.read_text(errors="replace") if self.log_file.exists() else ""
        return f"the log of {self.name} (exit code {self.process.poll()}) ends:\n{text[-3000:]}"


@dataclass(kw_only=True)
class Role(Program):
    """A program with an admin port."""

    admin: str  # host:port

    def start(self, *, ready: bool = True) -> None:
        """Start it; returns once /readyz answers 200 (unless told otherwise)."""
        super().start()
        if ready:
            self.wait_until_ready()

    def wait_until_ready(self, seconds: float = START_SECONDS) -> None:
        """Return once /readyz answers 200; fails at once when the process ended."""

        def is_ready() -> bool:
            assert self.process.poll() is None, f"{self.name} ended; {self.tail()}"
            return self.is_ready()

        wait_for(is_ready, seconds, why=self.tail)

    def is_ready(self) -> bool:
        """Whether /readyz answers 200 now."""
        try:
            return request(self.admin, "GET", "/readyz").status == 200
        except (OSError, http.client.HTTPException):
            return False


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What an HTTP server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def request(
    address: str,
    method: str,
    path: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    *,
    seconds: float = REQUEST_SECONDS,
) -> Answer:
    """One request on a connection of its own to `host:port`; `seconds` is how long it waits for a sign of life.

    Raises:
        OSError, http.client.HTTPException: no answer.
    """
    connection = http.client.HTTPConnection(address, timeout=seconds)
    try:
        connection.request(method, path, body=body, headers=dict(headers or {}))
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(status=answer.status, headers=found, body=answer.read())
    finally:
        connection.close()


def end(*programs: Program) -> None:
    """Kill what still runs."""
    for program in programs:
        if hasattr(program, "process") and program.process.poll() is None:
            program.kill()
