"""A platform is one package and its line, a sink one file and its line: tried with toys, in a copy of the tree.

A line is an entry of a table, with the import that it needs. What a platform that people use has besides (its traffic
in the emulator, its page) is not asked for before its calls are told.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from tests.building.tree import ROOT, copy_tree
from tests.e2e.running import running_up

TOYS: Final = ROOT / "tests/e2e/toys"
PLATFORMS: Final = "schemas/platforms/__init__.py"
SINKS: Final = "workers/sinks/__init__.py"
RIGS: Final = "tests/contracts/sinks.py"
FEW: Final = 5  # tests; each suite has more
READS: Final = 'lambda path: [one.read_bytes() for one in path.glob("*.json")]'
CONFIG: Final = """
broker = "embedded:broker.db"
store = "sqlite:state"
objects = "file:recordings"

[[source]]
name = "huawei"
platform = "toy"
product = "toy-calls"
tokens = ["env:E2E_TOKEN"]

[[sink]]
name = "box"
kind = "toy"
path = "box"
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree with a toy platform and a toy sink."""
    tree = tmp_path_factory.mktemp("tree")
    copy_tree(tree)
    (tree / "schemas/platforms/toy").mkdir()
    shutil.copy(TOYS / "platform.py", tree / "schemas/platforms/toy/__init__.py")
    shutil.copy(TOYS / "sink.py", tree / "workers/sinks/toy.py")
    extend(tree / PLATFORMS, "from schemas.platforms import ", ", toy")
    extend(tree / PLATFORMS, "    jiuyun.DIALECT,", "\n    toy.DIALECT,")
    extend(tree / SINKS, "from workers.sinks.jsonl import ", "\nfrom workers.sinks.toy import Toy")
    extend(tree / SINKS, "AnySink = ", " | Toy")
    extend(tree / RIGS, '    "jsonl": ', f'\n    "toy": files("toy", {READS}),')
    return tree


def extend(file: Path, start: str, more: str) -> None:
    """Put more at the end of the one line that begins so."""
    lines = file.read_text().splitlines()
    (place,) = [number for number, line in enumerate(lines) if line.startswith(start)]
    lines[place] += more
    file.write_text("\n".join([*lines, ""]))


def run(tree: Path, program: str, *arguments: str) -> str:
    """What a tool of our environment says of the tree; it has to find nothing wrong."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [str(Path(sys.executable).with_name(program)), *arguments]
    done = subprocess.run(command, cwd=tree, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return done.stdout


def test_the_imports_and_the_style_are_those_of_the_house(tree: Path) -> None:
    assert " 0 broken." in run(tree, "lint-imports", "--no-cache")
    run(tree, "ruff", "check", "--no-cache", "schemas/platforms", "workers/sinks", RIGS)


def test_the_contract_suites_cover_them(tree: Path) -> None:
    suites = [f"tests/contracts/test_{name}.py" for name in ("platforms", "sinks")]
    said = run(tree, "pytest", "-p", "no:cacheprovider", "-k", "toy", "--no-header", "-vv", *suites)
    passed = Counter(line.partition("::")[0] for line in said.splitlines() if "[toy] PASSED" in line)
    assert passed == {suite: passed[suite] for suite in suites}
    assert min(passed.values()) > FEW


def test_a_push_comes_out_of_the_sink_as_a_record(tree: Path, tmp_path: Path) -> None:
    """Through `callstitch up`: door, dedupe, correlate and fan-out of the copy."""
    with running_up(tmp_path, CONFIG, environ={"PYTHONPATH": str(tree)}) as up:
        assert (
            up.post(json.dumps({"call": "1", "from": "13800000021", "to": "13866887021", "seconds": 5}).encode()) == 200
        )
        (event,) = up.wait_for(lambda: [json.loads(file.read_bytes()) for file in (tmp_path / "box").glob("*.json")])
    call = event["data"]["call"]
    assert {
        "platform": "toy", "product": "toy-calls", "session_id": "1", "caller": "+8613800000021",
        "callee": "+8613866887021", "talk_seconds": 5, "answered": True, "complete": True, "missing": [],
    }.items() <= call.items()  # fmt: skip
