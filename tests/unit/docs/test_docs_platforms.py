"""docs/platforms.md promises no row that no test covers, and names every setting that there is."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

from schemas.platforms import DIALECTS
from tests.e2e.platforms_plays import ACCOUNTS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/platforms.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.split("## What is supported")[1].split("\n## ")[0].splitlines()
    if line.startswith("| ") and not line.startswith("| system")
]
EXAMPLES = [block.split("```")[0] for block in PAGE.split("```toml\n")[1:]]
MODES = {
    "Huawei PrivateNumber": ("AX", "AXB", "AXE", "AXYB", "X"),
    "Huawei VoiceCall": ("callback", "notify", "verify"),
    "Aliyun": ("AXB receipts", "AXN receipts", "X mode"),
    "Jiuyun": ("type 22", "type 1", "type 2", "types 7, 8 and 9", "type 10", "VoiceNotify", "VoiceCodeNotify"),
}


def named_tests(cell: str) -> list[tuple[str, str]]:
    """File and function of each test that a cell names."""
    return re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", cell)


@cache
def functions_of(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]} {row[1]}")
def test_every_row_names_tests_that_exist(row: list[str]) -> None:
    _, _, _, tests = row
    assert named_tests(tests)
    assert [name for file, name in named_tests(tests) if name not in functions_of(file)] == []


def test_every_row_that_names_a_source_names_one_that_is_played() -> None:
    named = {name for row in ROWS for name in re.findall(r"source `([a-z0-9-]+)`", row[3])}
    assert named == {account.name for account in ACCOUNTS}


@pytest.mark.parametrize("system", MODES)
def test_every_mode_has_a_row(system: str) -> None:
    kinds = [kind for name, kind, *_ in ROWS if name == system]
    missing = [mode for mode in MODES[system] if not any(re.match(rf"{re.escape(mode)}\b", kind) for kind in kinds)]
    assert missing == []


def test_every_setting_of_a_source_is_spoken_of() -> None:
    keys = {key for dialect in DIALECTS.values() for key in dialect.settings.model_fields}
    assert [key for key in sorted(keys) if f"`{key}`" not in PAGE] == []


def test_every_platform_has_an_example() -> None:
    sources = [source for example in EXAMPLES for source in tomllib.loads(example)["source"]]
    assert {source["platform"] for source in sources} == set(DIALECTS)
