"""Every page, section, table and trap that a comment or a page cites is there; see docs/notes/style.md section 3."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

from tests.building.citations import Citation, broken, citations

ROOT = Path(__file__).parents[3]
READ = ("*.py", "*.md", "pyproject.toml", "Makefile")


@cache
def files() -> Mapping[str, str]:
    """What git knows of, and what is new and not ignored."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", *READ]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    return {name: (ROOT / name).read_text() for name in listed if name and (ROOT / name).is_file()}


@cache
def cited() -> list[Citation]:
    return [one for name, content in files().items() for one in citations(name, content)]


def pages() -> dict[str, str]:
    return {name: content for name, content in files().items() if name.endswith(".md")}


def test_whatever_is_cited_is_there() -> None:
    assert broken(cited(), pages()) == []


@pytest.mark.parametrize(
    ("page", "line"),
    [
        ("docs/design.md", r"## 5\. .*"),
        ("docs/contract.md", r"## 1\. .*"),
        ("docs/notes/amqp.md", r"\| 16 \|.*"),
        ("docs/protocols/jiuyun-axb.md", r"7\. recordUrl.*"),
        ("docs/protocols/huawei-reason-codes.md", r"## B\. .*"),
        ("docs/notes/style.md", r"4\. \*\*Errors.*"),
    ],
)
def test_a_heading_a_point_or_a_trap_that_is_gone_is_noticed(page: str, line: str) -> None:
    without = re.sub(rf"^{line}$", "", pages()[page], count=1, flags=re.MULTILINE)
    assert without != pages()[page]
    assert broken(cited(), pages() | {page: without})


def test_a_page_that_is_gone_is_noticed() -> None:
    left = {name: content for name, content in pages().items() if name != "docs/notes/security.md"}
    assert broken(cited(), left)


@pytest.mark.parametrize(
    "comment",
    [
        "# section 3",
        "# contract section 1",
        "# notes/amqp.md",
        "# huawei-voicecall.md section 2",
        "# docs/design.md section 99",
        "# docs/notes/amqp.md trap 99",
        "# docs/nowhere.md",
    ],
)
def test_a_citation_in_another_spelling_or_of_nothing_is_noticed(comment: str) -> None:
    assert broken(citations("some.py", f'"""A module."""\n\n{comment}\n'), pages()) != []


@pytest.mark.parametrize(
    "module",
    [
        '"""docs/protocols/jiuyun-axb.md."""\n# section 6.7; docs/contract.md section 1\n# and section 4\n',
        '"""docs/protocols/huawei-voicecall.md sections 0 (pushes), 1 and 2 to 4."""\n# section 3\n',
        '"""A."""\n# docs/protocols/aliyun-pnp.md section 2: this; section 7, traps 4 and 5: that\n',
        '"""docs/notes/amqp.md."""\n# traps 5, 10 and 11\n',
        '"""AMQP 0-9-1, sections 1.8.3.9 and 4.2.5; RFC 9110 section 10.2.3."""\n',
    ],
)
def test_what_the_rule_allows_is_understood(module: str) -> None:
    assert broken(citations("some.py", module), pages()) == []


def test_a_place_is_told_with_file_and_line() -> None:
    found = citations("some.py", '"""A module.\n\nSee docs/design.md section 99.\n"""\n')
    assert broken(found, pages()) == ["some.py:3: docs/design.md section 99"]
