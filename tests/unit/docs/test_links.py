"""Every relative link of README, docs/ and deploy/ leads to a file here, and to a heading where it names one."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
GLOBS = ("*.md", "docs/**/*.md", "deploy/**/*.md")
PAGES = sorted(str(page.relative_to(ROOT)) for glob in GLOBS for page in ROOT.glob(glob))
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]*))?\)")


def prose(text: str) -> str:
    """The page without its code."""
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)


def anchors(text: str) -> frozenset[str]:
    """The anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings)


def dead_links(page: str, text: str) -> Iterator[str]:
    for target, anchor in LINK.findall(prose(text)):
        path = ROOT / posixpath.normpath(posixpath.join(posixpath.dirname(page), target)) if target else ROOT / page
        if not path.exists():
            yield target
        elif anchor and anchor not in anchors(path.read_text()):
            yield f"{target}#{anchor}"


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_leads_somewhere(page: str) -> None:
    assert list(dead_links(page, (ROOT / page).read_text())) == []


@pytest.mark.parametrize("link", ["nowhere.md", "config.md#no-such-heading", "../docs/nowhere"])
def test_a_link_to_nowhere_is_noticed(link: str) -> None:
    assert list(dead_links("docs/design.md", f"See [it]({link}).")) == [link]


@pytest.mark.parametrize("page", PAGES)
def test_no_page_names_a_path_of_one_machine(page: str) -> None:
    assert re.findall(r"(?:/work|/root|/home|\.\./shared)\b\S*", (ROOT / page).read_text()) == []
