"""A stage is one file, one row of STAGES and one opener; all else that knows it by name is derived from these."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.topology import STAGES
from workers.wiring import OPENERS

ROOT = Path(__file__).parents[3]
PACKAGES = ("schemas", "runtime", "ingest", "workers", "console")
KNOWING = {
    "schemas/topology.py",  # the row
    "workers/wiring.py",  # the opener
    "console/stations/upgrade.py",  # which versions of which stage must not run side by side
    "console/sabotage.py",  # faults on purpose, each in one stage
}


def literals(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_every_stage_has_an_opener_and_a_file() -> None:
    assert OPENERS.keys() == STAGES.keys()
    assert all((ROOT / f"workers/{name}.py").exists() for name in STAGES)


@pytest.mark.parametrize("name", STAGES)
def test_no_other_code_knows_a_stage_by_name(name: str) -> None:
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    knowing = {str(path.relative_to(ROOT)) for path in files if name in literals(path)}
    assert knowing <= KNOWING | {f"workers/{name}.py"}


@pytest.mark.parametrize("page", ["README.md", "docs/config.md", "docs/design.md"])
def test_the_pages_name_every_stage_that_retries(page: str) -> None:
    text = (ROOT / page).read_text()
    assert [row.name for row in STAGES.values() if row.delays and row.name not in text] == []
