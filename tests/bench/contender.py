"""What is measured: one or more processes with a log each, started for a run and ended after it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tests.bench.sockets import listens
from tests.bench.usage import Usage, usage
from tests.services import debian

ROOT: Final = Path(__file__).parents[2]
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0
POLL_SECONDS: Final = 0.05
TAIL_CHARACTERS: Final = 400


class Trouble(Exception):
    """A run that cannot be played or must not count; the text says why."""


@dataclass(kw_only=True)
class Processes:
    """The processes of one contender in one run."""

    directory: Path
    started: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, command: Sequence[str], environ: Mapping[str, str] = MappingProxyType({})) -> None:
        """Start one; it inherits our environment and finds the repository's modules."""
        with (self.directory / f"{name}.log").open("ab") as log:
            self.started[name] = subprocess.Popen(
                [*debian.dies_with_us(), *command],
                cwd=self.directory,
                env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def usage(self) -> Usage:
        """Of all of them and their descendants, so far."""
        return usage(process.pid for process in self.started.values())

    @property
    def usage_by_name(self) -> dict[str, Usage]:
        """Of each of them, so far."""
        return {name: usage([process.pid]) for name, process in self.started.items()}

    async def wait_until(self, ready: Callable[[], bool], *, seconds: float = START_SECONDS) -> None:
        """Return once `ready()`.

        Raises:
            Trouble: not in time, or a process ended.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise Trouble(f"not ready after {seconds:g} s; {self._tails()}")
            await asyncio.sleep(POLL_SECONDS)

    async def wait_for_port(self, port: int) -> None:
        """Return once one of them listens there.

        Raises:
            Trouble: see wait_until.
        """
        await self.wait_until(lambda: self.listens(port))

    def listens(self, port: int) -> bool:
        """Whether one of them, and nobody else, listens there."""
        return listens([process.pid for process in self.started.values()], port)

    def check(self) -> None:
        """Raise Trouble when one of them ended by itself."""
        for name, process in self.started.items():
            if process.poll() is not None:
                raise Trouble(f"{name} ended with code {process.returncode}; {self.tail(name)}")

    def end(self) -> None:
        """End them in order, at last by force."""
        for process in self.started.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.started.values():
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def tail(self, name: str) -> str:
        """The end of its log."""
        text = (self.directory / f"{name}.log").read_text(errors="replace")
        return f"{name} said: {text[-TAIL_CHARACTERS:].strip()}"

    def _tails(self) -> str:
        return " | ".join(self.tail(name) for name in self.started)


@contextmanager
def processes(directory: Path) -> Iterator[Processes]:
    """An empty set of processes, all ended at the end; what they leave behind is kept if something went wrong."""
    directory.mkdir(parents=True, exist_ok=True)
    found = Processes(directory=directory)
    try:
        yield found
    finally:
        found.end()
    shutil.rmtree(directory)


def module(name: str, *arguments: str) -> list[str]:
    """The command that runs one of our modules in our own environment."""
    return [sys.executable, "-m", name, *arguments]
