"""A disk that a test can fill up and free again."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.services.debian import in_ci

_DISK_BYTES: Final = 2 * 1024 * 1024
_FILE_BYTES: Final = 512 * 1024


@dataclass(frozen=True)
class SmallDisk:
    path: Path
    full: Callable[[], AbstractContextManager[None]]


@contextmanager
def small_disk(kind: str, path: Path, *, size: int = _DISK_BYTES) -> Iterator[SmallDisk]:
    """A disk that is full inside `full()`: a tmpfs of `size` bytes ("mounted"), or files that may not grow ("limited").

    The first takes mount's rights, the second every file of this process; it skips the test where it cannot be had.
    """
    if kind == "limited":
        yield SmallDisk(path, _no_file_may_grow)
        return
    with _mounted(path, size):
        yield SmallDisk(path, partial(_filled, path))


@contextmanager
def _mounted(path: Path, size: int) -> Iterator[None]:
    sudo = ["sudo", "-n"] if in_ci() and os.geteuid() else []
    options = f"size={size},uid={os.geteuid()}"
    mounted = subprocess.run(
        [*sudo, "mount", "-t", "tmpfs", "-o", options, "callstitch-test", str(path)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        yield
    finally:
        subprocess.run([*sudo, "umount", str(path)], check=True)


@contextmanager
def _filled(path: Path) -> Iterator[None]:
    filling = path / "filling"
    with filling.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    try:
        yield
    finally:
        filling.unlink()


@contextmanager
def _no_file_may_grow() -> Iterator[None]:
    """Writes beyond the limit fail with EFBIG (Python ignores the signal), which SQLite takes for an I/O error."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE_BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
