"""The import contracts of pyproject.toml can fail: a circle between two files is found."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "runtime", "ingest", "workers", "console")
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")


def lint(directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([LINT_IMPORTS, "--no-cache"], cwd=directory, capture_output=True, text=True, check=False)


def test_a_circle_between_two_files_breaks_the_contract(tmp_path: Path) -> None:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("*.json", "__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    kept = lint(tmp_path)
    assert kept.returncode == 0, kept.stdout

    with (tmp_path / "runtime/isolate.py").open("a") as file:  # which consumer imports
        file.write("\nimport runtime.consumer\n")
    broken = lint(tmp_path)
    assert broken.returncode == 1
    assert "No cycles are allowed in runtime." in broken.stdout
