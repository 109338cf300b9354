"""Debian's packages for the tests: found when installed, else installed where that is ours to decide."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

_INSTALL_SCRIPT = Path(__file__).with_name("install_package.sh")
_INSTALL_TIMEOUT_SECONDS = 600


class Missing(Exception):
    """A service or program is not there and cannot be installed; the text is the reason to skip with."""


def in_ci() -> bool:
    """Whether this run must not skip anything."""
    return os.environ.get("CI") == "true"


@cache
def program(pattern: str, *, package: str) -> Path:
    """The program at that glob pattern (the last in order, so the newest version), from that package.

    Installs the package when we are root, or in CI when sudo needs no password; on anyone's own machine
    nothing is installed through sudo. Several test runs at once install one after another.

    Raises:
        Missing: it is not there, with what to do about it.
    """
    if found := _newest(pattern):
        return found
    with _one_at_a_time():
        if not _newest(pattern):
            _install(package)
    if found := _newest(pattern):
        return found
    raise Missing(f"Debian's package {package} brings no {pattern}")


def dies_with_us() -> list[str]:
    """What to put before a command so that it is killed when this process dies, however it dies."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []


def _newest(pattern: str) -> Path | None:
    found = sorted(Path("/").glob(pattern.removeprefix("/")))
    return found[-1] if found else None


def _install(package: str) -> None:
    command = [*_as_root(package), "sh", str(_INSTALL_SCRIPT), package]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_INSTALL_TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode:
        raise Missing(f"apt-get install {package} failed: {done.stderr.strip()[-300:]}")


def _as_root(package: str) -> list[str]:
    advice = f"{package} is not installed (sudo apt-get install {package})"
    if shutil.which("apt-get") is None:
        raise Missing(f"{package} is not installed, and this is not Debian")
    if os.geteuid() == 0:
        return []
    if not in_ci() or shutil.which("sudo") is None:
        raise Missing(advice)
    if subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode:
        raise Missing(advice)
    return ["sudo", "-n"]


class _one_at_a_time:  # noqa: N801 - read as a phrase after `with`
    def __enter__(self) -> None:
        self._file = (Path(tempfile.gettempdir()) / f"callstitch-apt-{os.geteuid()}.lock").open("w")
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        self._file.close()
