"""The rules of the house that no linter has: sizes, imports at the top, and no circle between two modules."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final

import pytest

from tests.building.tree import PACKAGES, ROOT, modules
from tests.conftest import LONGEST_FIRST

MOST_LINES: Final = 300
MOST_LINES_OF_A_FUNCTION: Final = 50
FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)
IMPORTS: Final = (ast.Import, ast.ImportFrom)

BARE_TASKS: Final = {  # none of them runs for life, but for the helper's own
    "runtime/tasks.py": 1,
    "runtime/lifecycle.py": 2,  # the role itself and the signal: the process waits for them
    "runtime/consume/waiting.py": 2,  # a race that its function ends
    "runtime/broker/rabbitmq/asker.py": 1,  # one question; how it ends is what `ask` returns
    "runtime/broker/rabbitmq/link.py": 1,  # a channel that opens; awaited in the same function
    "ingest/questions.py": 1,  # goes on after an answer; never raises, counts its tries, and `close` waits for it
}

TREES: Final = {path: ast.parse((ROOT / path).read_text()) for path in modules()}
ALL_TREES: Final = {**TREES, **{path: ast.parse((ROOT / path).read_text()) for path in modules(["tests"])}}
NAMES: Final = {".".join(path.with_suffix("").parts).removesuffix(".__init__"): tree for path, tree in TREES.items()}


def test_no_file_is_long() -> None:
    sizes = {str(path): len((ROOT / path).read_text().splitlines()) for path in ALL_TREES}
    assert {path: size for path, size in sizes.items() if size > MOST_LINES} == {}


def test_no_function_is_long() -> None:
    assert [place for path, tree in ALL_TREES.items() for place in long_functions(path, tree)] == []


def long_functions(path: Path, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, FUNCTIONS):
            size = (node.end_lineno or node.lineno) - node.lineno + 1
            if size > MOST_LINES_OF_A_FUNCTION:
                yield f"{path}:{node.lineno} {node.name}: {size} lines"


def test_every_import_stands_at_the_top() -> None:
    assert [place for path, tree in TREES.items() for place in late_imports(path, tree)] == []


def late_imports(path: Path, tree: ast.Module) -> Iterator[str]:
    """An import inside a function, or by name while the program runs."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield from (f"{path}:{late.lineno}" for late in ast.walk(node) if isinstance(late, IMPORTS))
            case ast.Call(func=ast.Attribute(attr="import_module") | ast.Name(id="import_module" | "__import__")):
                yield f"{path}:{node.lineno}"


def test_no_task_runs_on_unwatched() -> None:
    """`runtime.tasks.watched`, or a TaskGroup: else a task may end by itself, and nobody learns it."""
    found = Counter(str(path) for path, tree in TREES.items() for _ in bare_tasks(tree))
    assert found == BARE_TASKS


def bare_tasks(tree: ast.AST) -> Iterator[int]:
    """Where a task is made that nobody has to look after."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="ensure_future") | ast.Name(id="create_task" | "ensure_future")):
                yield node.lineno
            case ast.Call(func=ast.Attribute(attr="create_task", value=ast.Name(id="asyncio" | "loop") | ast.Call())):
                yield node.lineno


def test_no_module_is_in_a_circle() -> None:
    try:
        TopologicalSorter({name: imported_by(name) for name in NAMES}).prepare()
    except CycleError as found:
        pytest.fail(" -> ".join(found.args[1]))


def imported_by(module: str) -> set[str]:
    """The modules of ours that it imports by their own name; a package counts where one of its own names is taken."""
    found: set[str] = set()
    for node in ast.walk(NAMES[module]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] in PACKAGES:
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {one if one in NAMES else node.module for one in whole}
    return found & NAMES.keys()


@pytest.mark.parametrize(
    "source",
    [
        "def one():\n    import json\n",
        "async def one():\n    from json import loads\n",
        "class One:\n    def two(self):\n        def three():\n            import json\n",
        'import importlib\nimportlib.import_module("json")\n',
    ],
)
def test_a_late_import_is_seen(source: str) -> None:
    assert list(late_imports(Path("one.py"), ast.parse(source))) != []


@pytest.mark.parametrize(
    "call",
    ["asyncio.create_task(x)", "create_task(x)", "asyncio.ensure_future(x)", "asyncio.get_event_loop().create_task(x)"],
)
def test_a_bare_task_is_seen(call: str) -> None:
    assert list(bare_tasks(ast.parse(call))) == [1]
    assert list(bare_tasks(ast.parse("tasks.create_task(x)"))) == []


def test_a_long_function_is_seen() -> None:
    lines = "    pass\n" * MOST_LINES_OF_A_FUNCTION
    assert list(long_functions(Path("one.py"), ast.parse(f"def one():\n{lines}"))) == ["one.py:1 one: 51 lines"]


def test_imports_are_seen() -> None:
    """Else no circle would be found."""
    assert {"runtime.broker.base", "runtime.broker.embedded", "schemas.settings.addresses"} <= imported_by(
        "runtime.broker"
    )
    assert sum(len(imported_by(name)) for name in NAMES) > len(NAMES)


def test_the_files_that_go_first_are_there() -> None:
    assert [name for name in LONGEST_FIRST if not (ROOT / "tests" / name).exists()] == []
