"""Each import contract of pyproject.toml can fail: an import that it forbids is found, and told under its name."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

import pytest

from schemas.topology import STAGES
from tests.building.tree import PACKAGES, ROOT, copy_tree

LINT_IMPORTS: Final = Path(sys.executable).with_name("lint-imports")
CONTRACTS: Final = {
    row["name"]: row
    for row in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
}
# By contract: a module, and what it must not import.
FORBIDDEN: Final = {
    "the way of the data: console > ingest, workers > runtime > schemas": ("schemas.value", "runtime.clock"),
    "a worker, store, sink or object store imports the runtime only through wiring, but for the floor of files and "
    "clock": ("workers.sinks.jsonl", "runtime.wire"),
    "a worker never imports another worker, nor an implementation of a store or sink": (
        "workers.park",
        "workers.decide",
    ),
    "workers meet stores and sinks only in wiring": ("workers.fan_out", "workers.sinks.jsonl"),
    "a vendor's platforms never import another vendor's": (
        "schemas.platforms.aliyun.codes",
        "schemas.platforms.jiuyun.codes",
    ),
    "Huawei's products share what stands beside them, and never import each other": (
        "schemas.platforms.huawei.voicecall.codes",
        "schemas.platforms.huawei.privatenumber.codes",
    ),
    "schemas hold shapes only, and the call in the making is pure: no clock, no file, no network, no log": (
        "schemas.numbers",
        "time",
    ),
    "the call in the making knows only shapes: nothing of the stages, nothing of the runtime": (
        "workers.calls.merge",
        "workers.retention",
    ),
    "the emulator's platforms know nothing of each other": (
        "console.emulator.aliyun.signing",
        "console.emulator.jiuyun.payloads",
    ),
    "nor do Huawei's two products in the emulator": (
        "console.emulator.huawei.voicecall.payloads",
        "console.emulator.huawei.privatenumber.payloads",
    ),
    "the emulator's engine knows its platforms by the table in acts alone": (
        "console.emulator.push",
        "console.emulator.acts",
    ),
    "OpenTelemetry is an extra: one file imports it, where it is asked for": ("runtime.settle", "opentelemetry"),
    "the emulator can contradict us: it imports nothing of ours": ("console.emulator.truth", "schemas.numbers"),
}
NO_CIRCLE: Final = "no circle: of two modules or packages side by side, one at most knows the other"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What is told of a tree in which every contract is broken; before, none was."""
    tree = tmp_path_factory.mktemp("tree")
    copy_tree(tree, "pyproject.toml", *PACKAGES)
    kept = lint(tree)
    assert kept.returncode == 0, kept.stdout
    for module, forbidden in [
        *FORBIDDEN.values(),
        ("runtime.isolate", "runtime.consume.loop"),
    ]:  # which imports isolate
        with (tree / f"{module.replace('.', '/')}.py").open("a") as file:
            file.write(f"\nimport {forbidden}\n")
    broken = lint(tree)
    assert broken.returncode == 1
    return broken.stdout


def lint(directory: Path) -> subprocess.CompletedProcess[str]:
    """The report of lint-imports, without breaking its lines."""
    environ = {**os.environ, "COLUMNS": "400"}
    command = [str(LINT_IMPORTS), "--no-cache", "--no-logo"]
    return subprocess.run(command, cwd=directory, env=environ, capture_output=True, text=True, check=False)


def told_of(report: str, contract: str) -> str:
    """The report's paragraph about a broken contract."""
    return report.split(f"\n{contract}\n{'-' * len(contract)}\n")[1].split("\n---", maxsplit=1)[0]


def test_every_contract_has_an_import_that_breaks_it() -> None:
    assert set(CONTRACTS) == {*FORBIDDEN, NO_CIRCLE}


@pytest.mark.parametrize("contract", FORBIDDEN)
def test_what_a_contract_forbids_is_found(report: str, contract: str) -> None:
    module, forbidden = FORBIDDEN[contract]
    assert f"{module} -> {forbidden} (" in told_of(report, contract)


def test_a_circle_between_two_files_is_found(report: str) -> None:
    assert "No cycles are allowed in runtime." in told_of(report, NO_CIRCLE)


def test_a_contract_over_a_list_has_all_that_there_are() -> None:
    """Where no wildcard can say it: a new stage, and a new platform of the emulator, has to be in its list."""
    stages = {f"workers.{name}" for name in STAGES}
    emulated = {f"console.emulator.{path.parent.name}" for path in ROOT.glob("console/emulator/*/__init__.py")}
    listed = [set(row.get("modules", row.get("source_modules", ()))) for row in CONTRACTS.values()]
    assert sum(modules >= stages for modules in listed) == 3
    assert emulated in listed
