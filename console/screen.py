"""What the operator's commands print: 80 columns on a terminal and in a pipe, and nothing that is copied is split.

Lines break at spaces only, so an id, a queue or a path that is longer than a line stays whole and sticks out.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Final

from rich.console import Console

WIDTH: Final = 80
_GAP: Final = "  "

out = Console(soft_wrap=True, markup=False, highlight=False)


def wrapped(text: str, *, indent: str = "") -> str:
    """Text in lines of at most 80 columns where its words allow, each behind `indent`."""
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def packed(words: Iterable[str], *, indent: str = "") -> str:
    """Words two spaces apart, as many a line as fit; one that is too long alone breaks at its own spaces."""
    lines = [""]
    for word in words:
        longer = f"{lines[-1]}{_GAP}{word}" if lines[-1] else word
        if len(indent) + len(longer) <= WIDTH:
            lines[-1] = longer
        else:
            lines.append(word)
    return "\n".join(wrapped(line, indent=indent) if len(indent) + len(line) > WIDTH else indent + line
                     for line in lines if line)  # fmt: skip


def aligned(rows: Sequence[Sequence[str]], *, right: Iterable[int] = (), indent: str = _GAP) -> list[str]:
    """Rows as lines, each column as wide as its widest cell; those named in `right` stand to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    to_the_right = frozenset(right)
    return [
        indent
        + _GAP.join(
            cell.rjust(width) if place in to_the_right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
