"""A wall clock that a test may set while processes read it: Debian's libfaketime, in their environment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

from tests.services import debian

_PACKAGE: Final = "libfaketime"
_LIBRARY: Final = "/usr/lib/*/faketime/libfaketimeMT.so.1"  # the one for programs with threads


def install() -> None:
    """Make sure that the library is there.

    Raises:
        debian.Missing: it is not, and cannot be installed.
    """
    debian.program(_LIBRARY, package=_PACKAGE)


class WallClock:
    """The wall clock of every program that is started with `environ`; it is right until it is set wrong.

    The monotonic clock stays the kernel's, as it does when an administrator or NTP sets a machine's wall clock, and so
    do the times of files. A program that calls time.sleep cannot live under it: version 0.9.10 answers EINVAL.

    Raises:
        debian.Missing: the package is not installed and cannot be.
    """

    def __init__(self, directory: Path) -> None:
        self._library = debian.program(_LIBRARY, package=_PACKAGE)
        self._file = directory / "faketime"
        self.set_wrong(by=timedelta())

    @property
    def environ(self) -> Mapping[str, str]:
        """What a program needs to have this wall clock."""
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",  # it looks at the file whenever it tells the time
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",  # else version 0.9.10 makes a busy loop of every wait for Python's GIL
            "NO_FAKE_STAT": "1",
        }

    def environ_of_now(self, *, by: timedelta) -> Mapping[str, str]:
        """The same for a program that runs as another user, who cannot read our file: wrong by that much for good."""
        rest = {name: value for name, value in self.environ.items() if name != "FAKETIME_TIMESTAMP_FILE"}
        return {**rest, "FAKETIME": f"{by.total_seconds():+.0f}"}

    def set_wrong(self, *, by: timedelta) -> None:
        """From now on it is wrong by that much: fast when positive, slow when negative."""
        written = self._file.with_suffix(".written")
        written.write_text(f"{by.total_seconds():+.0f}\n")
        written.replace(self._file)  # nobody ever reads half of it
