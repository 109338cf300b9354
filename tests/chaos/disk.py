"""A small disk for everything that the roles write: a tmpfs, whose limit says how full it is."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.services.debian import in_ci

ROOM: Final = "50%"  # of the machine's memory: what a run writes, and nothing is taken before
_SPARE_BYTES: Final = 8192


class Disk:
    """Mounted when built. It is full without a byte written: the limit is set to what it holds, which costs nothing.

    Raises:
        RuntimeError: nothing can be mounted here.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self._mount("-t", "tmpfs", "-o", f"size={ROOM},uid={os.geteuid()}", "callstitch-chaos", str(path))

    @contextmanager
    def full(self) -> Iterator[None]:
        """There is no room meanwhile."""
        while not self._shrink():
            pass  # it grew while we looked
        try:
            yield
        finally:
            self._mount("-o", f"remount,size={ROOM}", str(self.path))

    def room(self) -> int:
        """Free bytes."""
        about = os.statvfs(self.path)
        return about.f_bfree * about.f_frsize

    def close(self) -> None:
        """Forget all of it."""
        unmount(self.path)

    def _shrink(self) -> bool:
        about = os.statvfs(self.path)
        used = (about.f_blocks - about.f_bfree) * about.f_frsize
        try:
            self._mount("-o", f"remount,size={used + _SPARE_BYTES}", str(self.path))
        except RuntimeError:
            return False
        return True

    def _mount(self, *arguments: str) -> None:
        done = subprocess.run([*_as_root(), "mount", *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"a small disk cannot be mounted: {done.stderr.strip()}")


def can_mount() -> bool:
    """Whether this run may have such a disk."""
    with tempfile.TemporaryDirectory() as place:
        try:
            disk = Disk(Path(place))
        except RuntimeError:
            return False
        disk.close()
    return True


def unmount(path: Path) -> None:
    """Take it away, even from under processes that still hold a file of it."""
    subprocess.run([*_as_root(), "umount", "--lazy", str(path)], capture_output=True, check=True)


def _as_root() -> list[str]:
    return ["sudo", "-n"] if in_ci() and os.geteuid() else []
