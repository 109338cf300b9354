"""One process for each role, as containers would run them; any number of workers for a stage."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.e2e.programs import STOP_SECONDS, Program, Role, end
from tests.e2e.running import Up, prepared_up
from tests.services import ports

FILE_WORKERS: Final[Mapping[str, Sequence[str]]] = {
    "dedupe": ("dedupe",),
    "correlate": ("correlate",),
    "fetch_recording": ("fetch_recording",),
    "fan_out": ("fan_out", "--sink", "file"),
    "park": ("park",),
}
DECLARE_SECONDS: Final = 60.0
READY_SECONDS: Final = 120.0  # they all start at once


@contextmanager
def running_roles(
    directory: Path,
    broker: str,
    *,
    extra: str = "",
    environ: Mapping[str, str] | None = None,
    workers: Mapping[str, Sequence[str]] = FILE_WORKERS,
    ingest: Sequence[str] = ("ingest",),
    **overrides: str | bool | int,
) -> Iterator[tuple[Up, dict[str, Role]]]:
    """The door, and the workers by name, all ready, on a topology that `callstitch declare` made.

    `workers` gives the words after `callstitch work` for each, `ingest` the door's; the rest is as in `running_up`.
    """
    door = prepared_up(directory, None, extra=extra, environ=environ, command=ingest, broker=broker, **overrides)
    _declare(door)
    roles = {name: _worker(door, name, words) for name, words in workers.items()}
    try:
        for role in (door, *roles.values()):
            role.start(ready=False)
        for role in (door, *roles.values()):
            role.wait_until_ready(READY_SECONDS)
        yield door, roles
    finally:
        end(door, *roles.values())


def end_in_order(*roles: Role, seconds: float = STOP_SECONDS) -> dict[str, int]:
    """SIGTERM to all at once; their exit codes by name. A test fails when one takes longer than `seconds`."""
    for role in roles:
        role.process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + seconds
    return {role.name: role.wait(max(0.0, deadline - time.monotonic())) for role in roles}


def _declare(door: Up) -> None:
    program = Program(
        arguments=("declare", "--config", "config.toml"), directory=door.directory, environ=door.environ, name="declare"
    )
    program.start()
    assert program.wait(DECLARE_SECONDS) == 0, program.tail()


def _worker(door: Up, name: str, words: Sequence[str]) -> Role:
    admin = f"127.0.0.1:{ports.free_port()}"
    return Role(
        arguments=("work", *words, "--config", "config.toml"),
        directory=door.directory,
        environ={**door.environ, "CALLSTITCH_INGEST_ADMIN": admin},
        name=name,
        admin=admin,
    )
