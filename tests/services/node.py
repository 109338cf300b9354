"""Programs of Node with what they need of npm: pinned by a lock that says nothing of where packages come from."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def installed(programs: Path, into: Path, npm: Path) -> Path:
    """A copy of that folder with the packages of its lock in it, none of which may run anything while it is put there.

    Where they come from is the business of each machine's own npm settings.
    """
    shutil.copytree(programs, into)
    command = [str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=into, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return into
