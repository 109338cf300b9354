"""The demo's two processes: the pipeline (`up`) and the platforms (`emulate`)."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from console.demo.config import SOURCES, Places
from console.sabotage import VARIABLE
from console.screen import out
from schemas.errors import Unavailable
from workers.config import Config

CALLS: Final = 200
MESSAGES: Final = 10  # SMS and number states, of each platform that has them
START_SECONDS: Final = 60.0  # some two on a machine of its own
POLL_SECONDS: Final = 0.2
STARTS: Final = 4  # `up` is started again when it dies, as a container would be


@dataclass(kw_only=True)
class Demo:
    """One run: its config, and `up`, which may have been started several times."""

    config_path: Path
    config: Config
    places: Places
    up: subprocess.Popen[bytes] | None = None
    starts: int = 0


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at this moment."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


@contextmanager
def running(demo: Demo) -> Iterator[None]:
    """`up` is ready, and ended with the context.

    Raises:
        Unavailable: it did not start.
    """
    _start_up(demo)
    try:
        yield
    finally:
        if demo.up is not None and demo.up.poll() is None:
            demo.up.terminate()
            if demo.up.wait(25) != 0:
                out.print(f"up ended with exit code {demo.up.returncode}; see {demo.places.log}")


def _start_up(demo: Demo) -> None:
    environ = dict(os.environ)
    if demo.starts == 0 and "SABOTAGE" in environ:
        environ[VARIABLE] = environ["SABOTAGE"]
    demo.starts += 1
    with demo.places.log.open("ab") as log:
        command = [sys.executable, "-m", "console", "up", "--config", str(demo.config_path)]
        demo.up = subprocess.Popen(command, stdout=log, stderr=log, env=environ)  # noqa: S603 - our own command
    deadline = time.monotonic() + START_SECONDS
    while not _is_ready(demo.config.ingest.admin):
        if demo.up.poll() is not None or time.monotonic() > deadline:
            raise Unavailable(f"up did not start (exit code {demo.up.returncode}); see {demo.places.log}")
        time.sleep(POLL_SECONDS)


def _is_ready(admin: str) -> bool:
    try:
        with closing(urllib.request.urlopen(f"http://{admin}/readyz", timeout=2)) as answer:
            return bool(answer.status == 200)  # noqa: PLR2004 - OK
    except (OSError, urllib.error.URLError):
        return False


def keep_up(demo: Demo) -> None:
    """Start `up` again when it has died, as a supervisor would.

    Raises:
        Unavailable: it died too often, or does not start.
    """
    assert demo.up is not None
    code = demo.up.poll()
    if code is None:
        return
    if demo.starts >= STARTS:
        raise Unavailable(f"up died {demo.starts} times; see {demo.places.log}")
    out.print(f"up died (exit code {code}); starting it again, as a supervisor would")
    _start_up(demo)


def start_emulator(demo: Demo) -> subprocess.Popen[bytes]:
    """Every platform against the demo's door; it serves recordings until it is ended."""
    command = [sys.executable, "-m", "console", "emulate", "--calls", str(CALLS), "--ask"]
    command += ["--messages", str(MESSAGES)]
    for source, (platform, _) in SOURCES.items():
        command += ["--to", f"{platform}={demo.places.address(source)}"]
    command += ["--truth", str(demo.places.truth), "--recordings", demo.places.recordings, "--linger", "-1"]
    environ = {**os.environ, "CALLSTITCH_EMULATOR_SECRET": demo.places.secret}
    return subprocess.Popen(command, env=environ)  # noqa: S603 - our own command
