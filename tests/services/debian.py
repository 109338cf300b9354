"""Debian's packages for the tests: found when installed, else installed where that is ours to decide."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")

_INSTALL_SCRIPT = Path(__file__).with_name("install_package.sh")
_INSTALL_TIMEOUT_SECONDS = 600


class Missing(Exception):
    """A service or program is not there and cannot be installed; the text is the reason to skip with."""


def or_skip(make: Callable[[], T]) -> T:
    """What it makes; a test that cannot have it is skipped with the reason, and fails in CI (tests/conftest.py)."""
    try:
        return make()
    except Missing as missing:
        pytest.skip(str(missing))


def in_ci() -> bool:
    """Whether this run must not skip anything."""
    return os.environ.get("CI") == "true"


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
        refusal = None if _newest(pattern) else _install(package)
    if found := _newest(pattern):
        return found
    raise Missing(refusal or f"Debian's package {package} brings no {pattern}")


def programs(wanted: Mapping[str, str]) -> None:
    """See that each of these paths is there, with the package that brings it; what is missing is installed at once.

    Raises:
        Missing: one is not there, with what to do about it.
    """
    with _one_at_a_time():
        missing = [package for path, package in wanted.items() if not _newest(path)]
        refusal = _install(*missing) if missing else None
    if left := [package for path, package in wanted.items() if not _newest(path)]:
        raise Missing(refusal or f"Debian's packages {' '.join(left)} do not bring what is sought")


def dies_with_us() -> list[str]:
    """What to put before a command so that it is killed when this process dies, however it dies."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []


def _newest(pattern: str) -> Path | None:
    found = sorted(Path("/").glob(pattern.removeprefix("/")))
    return found[-1] if found else None


@cache  # a mirror that is away is asked once a run, not once a test
def _install(*packages: str) -> str | None:
    """Install them; returns why that was not possible."""
    package = " ".join(packages)
    if shutil.which("apt-get") is None:
        return f"{package} is not installed, and this is not Debian"
    if (prefix := as_root()) is None:
        return f"{package} is not installed (sudo apt-get install {package})"
    try:
        subprocess.run(
            [*prefix, "sh", str(_INSTALL_SCRIPT), *packages],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_INSTALL_TIMEOUT_SECONDS,
            check=True,
        )
    except subprocess.CalledProcessError as failed:
        return f"apt-get install {package} failed: {failed.stderr.strip()[-300:]}"
    except subprocess.TimeoutExpired:
        return f"apt-get install {package} took over {_INSTALL_TIMEOUT_SECONDS} seconds"
    return None


def as_root() -> list[str] | None:
    """What to put before a command that needs root; None when we may not be root."""
    if os.geteuid() == 0:
        return []
    if not in_ci() or shutil.which("sudo") is None:
        return None
    asked = subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False)
    return None if asked.returncode else ["sudo", "-n"]


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    with (Path(tempfile.gettempdir()) / f"callstitch-apt-{os.geteuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
