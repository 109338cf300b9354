"""What a figure depends on besides the code: the machine, its load, and the versions of everything in the run."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from tests.bench.builds import interpreter
from tests.bench.contender import ROOT
from tests.bench.peers_environment import versions
from tests.bench.services import GO
from tests.bench.theatre import Theatre

_OURS: Final = ("aiohttp", "aio-pika", "aiormq", "asyncpg", "orjson", "pydantic", "uvloop")
_KIB_A_GIB: Final = 1024 * 1024


def conditions(theatre: Theatre, *, command: str, load_before: float) -> Iterator[tuple[str, str]]:
    """Name and value of each condition of this run."""
    yield "command", f"`{command}`"
    yield "when", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    yield "commit", commit()
    yield "rounds", f"{theatre.settings.rounds}; of latency and growth one less, of recovery one"
    yield "machine", f"{os.cpu_count()} cores, {_processor()}, {_memory_gib():.0f} GiB, {platform.release()}"
    yield "load before and after (1 minute)", f"{load_before:.1f} and {os.getloadavg()[0]:.1f}"
    yield "Python of all that name no other", interpreter(theatre.ours.python)
    for build in theatre.beside:
        if build.python != theatre.ours.python:
            yield f'"{build.name}" runs on', interpreter(build.python)
    if "go" in theatre.__dict__:
        yield "Go", subprocess.run([GO, "version"], capture_output=True, text=True, check=True).stdout.strip()
    yield "RabbitMQ", f"{theatre.node.version}, quorum queues, one node"
    if theatre.uses_cluster:
        yield "PostgreSQL", f"{theatre.cluster.version}, fsync on"
    yield "Callstitch stands on", ", ".join(f"{name} {version(name)}" for name in _OURS)
    yield "the peers stand on", ", ".join(f"{name} {pinned}" for name, pinned in versions().items())


def load() -> float:
    """Of the last minute."""
    return os.getloadavg()[0]


def commit() -> str:
    """Of this tree, and whether it was changed since."""
    """Of this tree, and whether it was changed since."""
    git = ["git", "-C", str(ROOT)]
    head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    changed = subprocess.run(
        [*git, "status", "--porcelain", "--untracked-files=no"], capture_output=True, text=True, check=False
    )
    return (head.stdout.strip() or "unknown") + (" with changes" if changed.stdout.strip() else "")


def _processor() -> str:
    rows = [line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line]
    return next((value.strip() for name, value in rows if name.strip() == "model name"), platform.machine())


def _memory_gib() -> float:
    rows = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    return int(rows["MemTotal"].split()[0]) / _KIB_A_GIB
