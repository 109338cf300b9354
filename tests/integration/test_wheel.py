"""What a wheel installs is whole: a fresh virtual environment runs the command from it, samples included."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import Final

import pytest

from tests.building.samples import SAMPLES_OF_ALL

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("schemas", "runtime", "ingest", "workers", "console")
PIP: Final = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
SECONDS: Final = 60

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, since a build leaves its own folders beside the code."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    build = [*PIP, "wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(built), str(source)]
    subprocess.run(build, check=True, timeout=SECONDS)
    (found,) = built.iterdir()
    return found


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Only Callstitch is installed in it."""
    directory = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(directory)], check=True, timeout=SECONDS)
    install = [*PIP, "--python", str(directory / "bin/python"), "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, timeout=SECONDS)
    return directory


def test_the_wheel_holds_every_sample_and_the_mark_of_typed_packages(wheel: Path) -> None:
    wanted = {str(file.relative_to(ROOT)) for file in SAMPLES_OF_ALL.rglob("*.*")}
    wanted |= {f"{package}/py.typed" for package in PACKAGES}
    assert wanted - set(zipfile.ZipFile(wheel).namelist()) == set()


def test_the_wheel_holds_every_module(wheel: Path) -> None:
    wanted = {str(file.relative_to(ROOT)) for package in PACKAGES for file in (ROOT / package).rglob("*.py")}
    assert wanted - set(zipfile.ZipFile(wheel).namelist()) == set()


def test_an_installed_callstitch_prints_a_sample(environment: Path) -> None:
    printed = callstitch(environment, "sample", "axyb")
    files = ("callin", "callout", "alerting", "answer", "disconnect")
    wanted = [f"axyb-event-{name}.json" for name in files] + ["axyb-fee.json"]
    bodies = [(SAMPLES_OF_ALL / "huawei_privatenumber" / name).read_bytes().rstrip(b"\n") + b"\n" for name in wanted]
    assert printed == b"".join(bodies)


def test_an_installed_callstitch_exports_the_contract_that_is_committed(environment: Path, tmp_path: Path) -> None:
    callstitch(environment, "contract", "export", str(tmp_path))
    committed = ROOT / "docs/contract"
    assert {str(file.relative_to(committed)): file.read_text() for file in committed.rglob("*.json")} == {
        str(file.relative_to(tmp_path)): file.read_text() for file in tmp_path.rglob("*.json")
    }


def callstitch(environment: Path, *arguments: str) -> bytes:
    """What the installed command prints."""
    # What it depends on comes from our own environment, without the .pth file that would lead back to this checkout.
    environ = {**os.environ, "PYTHONPATH": sysconfig.get_path("purelib")}
    done = subprocess.run(
        [str(environment / "bin/callstitch"), *arguments],
        cwd=environment, env=environ, check=True, capture_output=True, timeout=SECONDS,
    )  # fmt: skip
    return done.stdout
