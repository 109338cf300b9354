"""The repository's own files, and a copy of them in which a test may break or add something."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("schemas", "runtime", "ingest", "workers", "console")


def modules(folders: Sequence[str] = PACKAGES) -> list[Path]:
    """Every Python file of these folders, relative to ROOT."""
    return [path.relative_to(ROOT) for name in folders for path in sorted((ROOT / name).rglob("*.py"))]


def copy_tree(target: Path, *names: str) -> None:
    """Copy these of the repository's files and folders (none: all) as they stand, new ones included."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *names],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)
