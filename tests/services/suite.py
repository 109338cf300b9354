"""Debian's packages of another suite than this machine's, unpacked into a private folder, and programs run from it.

No maintainer script runs and no service is installed (mmdebstrap's variant `extract`): it takes some seconds, and
nothing of this machine is touched. One folder serves all processes of a run, and the last one removes it;
CALLSTITCH_TEST_SUITES names a folder in which they are kept instead.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Final

from tests.services import debian

KEPT_IN: Final = "CALLSTITCH_TEST_SUITES"
_TOOL: Final = "/usr/bin/mmdebstrap"
_MADE: Final = "etc/callstitch-made"  # written last
_TIMEOUT_SECONDS: Final = 300

# In a mount namespace of its own, which ends with its last process: the system's own folders and that of temporary
# files lie where they lie outside. `exec` all the way, so that a signal to the process reaches the program.
_ENTER: Final = """
root=$1 shared=$2; shift 2
for each in /proc /dev /sys "$shared"; do mount --rbind "$each" "$root$each" || exit 70; done
exec chroot "$root" "$@"
"""


@dataclass(frozen=True, slots=True)
class Suite:
    """A root file system of that suite."""

    root: Path

    def command(self, *command: str) -> list[str]:
        """What to run so that this command runs inside, as our user, who is root there.

        It sees this machine's processes, devices, network and folder of temporary files, and runs in "/".
        """
        as_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        entering = ["unshare", *as_root, "--mount", "--propagation", "private", "--", "sh", "-c", _ENTER, "sh"]
        return [*entering, str(self.root), tempfile.gettempdir(), *command]


@cache
def unpacked(name: str, *packages: str) -> Suite:
    """The suite of that name (trixie, forky, sid) with these packages and what they depend on.

    Raises:
        debian.Missing: it cannot be had here, with the reason.
    """
    kept = os.environ.get(KEPT_IN)
    place = Path(kept or tempfile.gettempdir()) / f"callstitch-suite-{os.geteuid()}-{'-'.join([name, *packages])}"
    with _alone(place):
        if not kept:
            _remove_after_all_who_use_it(place)
        if not (place / _MADE).exists():
            shutil.rmtree(place, ignore_errors=True)
            unpack(name, packages, place)
    return Suite(place)


def unpack(name: str, packages: tuple[str, ...], place: Path) -> None:
    """Make that folder, which must not be there or be empty, such a root file system.

    Raises:
        debian.Missing: it cannot be had here, with the reason.
    """
    debian.program(_TOOL, package="mmdebstrap")
    wanted = [f"--include={each}" for each in ("?essential", *packages)]
    how = ["--variant=extract", "--aptopt=Acquire::Check-Valid-Until false"]  # a mirror may stand still for a while
    try:
        subprocess.run(
            [_TOOL, "--quiet", *how, *wanted, name, str(place), *mirror()],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=True,
        )
    except subprocess.CalledProcessError as failed:
        raise debian.Missing(f"{name} with {' '.join(packages)}: {failed.stderr.strip()[-300:]}") from None
    except subprocess.TimeoutExpired:
        raise debian.Missing(f"{name} took over {_TIMEOUT_SECONDS} seconds to unpack") from None
    _furnish(place)


def _furnish(place: Path) -> None:
    """What maintainer scripts would have made, as far as our programs need it."""
    for mine in ("hosts", "resolv.conf"):  # RabbitMQ waits for names that nobody answers
        shutil.copy(f"/etc/{mine}", place / "etc" / mine)
    for table in ("passwd", "group"):
        shutil.copy(place / f"usr/share/base-passwd/{table}.master", place / "etc" / table)
    for link, program in (("awk", "mawk"),):
        if not (place / "usr/bin" / link).exists():
            (place / "usr/bin" / link).symlink_to(program)
    for each in ("proc", "dev", "sys", tempfile.gettempdir().lstrip("/")):
        (place / each).mkdir(parents=True, exist_ok=True)
    (place / _MADE).touch()


def mirror() -> list[str]:
    """The mirror that this machine has Debian's packages from; none, the tool's own, where it is another system."""
    asked = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Label: Debian"]
    told = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.split()
    return told[:1]


def _remove_after_all_who_use_it(place: Path) -> None:
    """They share a lock, which ends with each of them, however it ends."""
    holder = place.with_name(f"{place.name}.users").open("w")
    fcntl.flock(holder, fcntl.LOCK_SH)
    atexit.register(_let_go, place, holder)


def _let_go(place: Path, holder: IO[str]) -> None:
    with _alone(place), suppress(BlockingIOError):
        fcntl.flock(holder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_name(f"{place.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
