"""README says the same in both languages, and what it says of commands and files is so."""

from __future__ import annotations

import re
from collections import Counter

import pytest
import typer.main
from typer.core import TyperGroup

import console.main  # noqa: F401 - puts the command together
from console.app import app
from tests.building.pages import READMES, ROOT, headings
from tests.unit.docs.test_links import LINK, prose

ENGLISH, CHINESE = READMES
TOP_LINES = 4
CODE = re.compile(r"`([^`\n]+)`")
FILE = re.compile(r"(?:schemas|runtime|ingest|workers|console|tests|docs)/[\w./-]*")


def text(page: str) -> str:
    """The page without its blocks."""
    return re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)


def words(page: str) -> set[str]:
    """Whatever stands between backticks or in blocks, taken apart."""
    code = re.findall(r"```.*?```|`[^`\n]+`", (ROOT / page).read_text(), flags=re.DOTALL)
    return {word for part in code for word in re.findall(r"[\w-]+", part)}


def commands() -> list[str]:
    """Every command of callstitch, one of a group with its group before it."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    found = []
    for name, command in group.commands.items():
        below = list(command.commands) if isinstance(command, TyperGroup) else []
        found += [f"{name} {one}" for one in below] or [name]
    return found


def test_both_have_the_same_headings_links_and_code() -> None:
    assert headings(ENGLISH) == headings(CHINESE)
    ours, theirs = (set(LINK.findall(prose((ROOT / page).read_text()))) for page in READMES)
    assert ours - {(CHINESE, "")} == theirs - {(ENGLISH, "")}
    assert Counter(CODE.findall(text(ENGLISH))) == Counter(CODE.findall(text(CHINESE)))


@pytest.mark.parametrize(("page", "other"), [(ENGLISH, CHINESE), (CHINESE, ENGLISH)])
def test_each_leads_to_the_other_at_its_top(page: str, other: str) -> None:
    top = (ROOT / page).read_text().splitlines()[:TOP_LINES]
    assert [line for line in top if f"]({other})" in line]


@pytest.mark.parametrize("page", [ENGLISH, CHINESE, "docs/contract.md"])
def test_every_command_is_named(page: str) -> None:
    assert len(commands()) > 10
    assert [command for command in commands() if not set(command.split()) <= words(page)] == []


@pytest.mark.parametrize("page", READMES)
def test_every_file_that_is_named_exists(page: str) -> None:
    named = [code for code in CODE.findall(text(page)) if FILE.fullmatch(code)]
    assert len(named) > 10
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_what_the_demo_says_of_readme_is_there() -> None:
    (named,) = re.findall(r'README.md, "([^"]+)"', (ROOT / "console/demo/report.py").read_text())
    assert f"\n## {named}\n" in (ROOT / ENGLISH).read_text()


def test_every_page_is_linked() -> None:
    linked = {target for target, _ in LINK.findall(prose((ROOT / ENGLISH).read_text()))}
    pages = [f"docs/{page.name}" for page in (ROOT / "docs").iterdir() if page.suffix == ".md" or page.is_dir()]
    assert [page for page in pages if not linked & {page, f"{page}/"}] == []
