"""The pages of the repository, and the code blocks that stand in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
READMES: Final = ("README.md", "README.zh-CN.md")
PAGES: Final = (*READMES, *sorted(str(page.relative_to(ROOT)) for page in ROOT.glob("docs/**/*.md")))

_BLOCK: Final = re.compile(r"^ *```(?P<info>[^\n`]*)\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)
_HEADING: Final = re.compile(r"^(#+) ", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block: what stands behind its first fence, and its lines."""

    page: str
    line: int
    info: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line} {self.info}"


def blocks(page: str) -> list[Block]:
    """Those of a page of the repository, in order."""
    return blocks_in((ROOT / page).read_text(), page)


def blocks_in(text: str, page: str = "page.md") -> list[Block]:
    """Those of a text, in order."""
    return [
        Block(page=page, line=text.count("\n", 0, found.start()) + 1, info=found["info"].strip(), text=found["text"])
        for found in _BLOCK.finditer(text)
    ]


def headings(page: str) -> list[int]:
    """The level of each heading of a page, in order; what looks like one in a block is none."""
    return [len(found) for found in _HEADING.findall(_BLOCK.sub("", (ROOT / page).read_text()))]
