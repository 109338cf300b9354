"""`python -m tests.bench.flames`: flame graphs of the door and the two stages at full load, as pictures in docs.

Case c (i) on RabbitMQ and SQLite is played while py-spy (from the peers' environment) looks at each process from
outside. It counts the looks that find the interpreter's lock held: a thread that waits for the lock or for a core is
not where time goes. What runs without the lock, SQLite and the kernel's part, is not in the picture but in its title:
perf (Debian) counts the CPU of each process by library.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

import uvloop

from tests.bench.builds import HERE, SUITES, environment, interpreter
from tests.bench.cases import job, jobs
from tests.bench.contender import ROOT, Processes, Trouble
from tests.bench.machine import commit
from tests.bench.settings import Settings
from tests.bench.theatre import Theatre
from tests.services import debian

PICTURES: Final = ROOT / "docs"
LOOKS_A_SECOND: Final = 200
MOST_BYTES: Final = 300_000
WAIT_SECONDS: Final = 60
LIBRARIES: Final = 4
_PERF: Final = "/usr/bin/perf"
_TITLE: Final = re.compile(r'(<text id="title"[^>]*>)[^<]*')
_FOREIGN: Final = re.compile(r"[( ](/[\w.-]+){2,}")  # a path of this machine


Tool = Callable[[str, int], Sequence[str]]  # what looks at the process of this name and id, until it ends


async def watched(theatre: Theatre, seconds: float, tool: Tool) -> list[str]:
    """The names of the processes, each looked at by the tool from its start to its end.

    Raises:
        Trouble: the job could not be played, or lost something.
    """
    contender = jobs.PLAIN["SQLite"]
    looking: dict[str, asyncio.subprocess.Process] = {}

    async def looked_at(inner: Theatre, found: Processes, url: str, kind: str) -> jobs.Opened:
        opened = await contender.open(inner, found, url, kind)
        for name, process in found.started.items():
            looking[name] = await asyncio.create_subprocess_exec(*tool(name, process.pid))
        return opened

    run = await job.play_one(theatre, replace(contender, open=looked_at), kind="steps", seconds=seconds)
    async with asyncio.timeout(WAIT_SECONDS):
        for looks in looking.values():
            await looks.wait()
    if run.trouble:
        raise Trouble(run.trouble)
    return list(looking)


async def play(theatre: Theatre, seconds: float) -> dict[str, tuple[Path, str]]:
    """Picture and shares of CPU by library, by process; each tool has a run of its own, as looking costs too.

    Raises:
        Trouble: see watched.
    """
    perf, spy = str(debian.program(_PERF, package="linux-perf")), str(theatre.peers.with_name("py-spy"))

    def counts(name: str, pid: int) -> Sequence[str]:
        out = str(theatre.directory / f"{name}.perf")
        return [perf, "record", "--quiet", "-e", "cpu-clock", "--pid", str(pid), "-o", out]

    def looks(name: str, pid: int) -> Sequence[str]:
        how = ["--gil", "--function", "--rate", str(LOOKS_A_SECOND), "--format", "flamegraph"]
        return [spy, "record", "--pid", str(pid), *how, "--output", str(theatre.directory / f"{name}.svg")]

    await watched(theatre, seconds, counts)
    names = await watched(theatre, seconds, looks)
    folder = theatre.directory
    return {name: (folder / f"{name}.svg", by_library(folder / f"{name}.perf")) for name in names}


def by_library(counted: Path) -> str:
    """Shares of the process's CPU, the largest first."""
    asked = [_PERF, "report", "-i", str(counted), "--stdio", "--sort", "dso", "--percent-limit", "1"]
    report = subprocess.run(asked, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout
    shares = re.findall(r"^ *([\d.]+)% +(\S+)", report, re.MULTILINE)
    return ", ".join(f"{_library(name)} {float(share):.0f} %" for share, name in shares[:LIBRARIES])


def _library(name: str) -> str:
    return name.strip("[]").partition(".")[0].removesuffix("kernel") + "kernel" * name.startswith("[kernel")


def told(picture: str, title: str) -> str:
    """The picture under this title.

    Raises:
        Trouble: it is too large for a page, or names a path of this machine.
    """
    text, count = _TITLE.subn(rf"\g<1>{title}", picture)
    if count != 1 or len(text) > MOST_BYTES:
        raise Trouble(f"{title}: {len(text)} bytes, {count} titles")
    if found := _FOREIGN.search(text.partition("</script>")[2]):
        raise Trouble(f"{title}: names {found[0].strip()}")
    return text


def main() -> int:
    """Play, then write the pictures."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.flames", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="of load (20)")
    parser.add_argument("--python", default=sys.executable, help=f"a path, or {' or '.join(SUITES)}, Debian's")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    directory = ROOT / "var" / "bench"
    (directory / "runs").mkdir(parents=True, exist_ok=True)
    python = environment(given.python, directory) if given.python != sys.executable else given.python
    with ExitStack() as cleaning:
        theatre = Theatre(settings=Settings(directory=directory), cleaning=cleaning, ours=replace(HERE, python=python))
        pictures = uvloop.run(play(theatre, given.seconds))
    for name, (picture, shares) in pictures.items():
        title = f"{name}, Python {interpreter(python).partition(',')[0]}, {commit()}; CPU: {shares}"
        (PICTURES / f"flame-{picture.name}").write_text(told(picture.read_text(), title))
        print(f"docs/flame-{picture.name}: {title}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
