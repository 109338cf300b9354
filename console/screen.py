"""What the operator's commands print: 80 columns on a terminal and in a pipe, and nothing that is copied is split.

Lines break at spaces only, so an id, a queue or a path that is longer than a line stays whole and sticks out.

This is the one place by which text leaves to a terminal (tests/unit/console/test_screen.py), because what a platform
sent may hold what a terminal obeys: each character of that kind is shown as an escape. Words, cells and texts that are
laid out here are one line each, so a line break in one is shown too, and fakes no row.
"""

from __future__ import annotations

import re
import sys
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, Final

import orjson
import typer
from rich.console import Console

from schemas.shown import OBEYED, shown, shown_lines

WIDTH: Final = 80
_GAP: Final = "  "
_RAW_IN_JSON: Final = re.compile(r"[^\x00-\x7e]")  # orjson escapes what is below

_console = Console(soft_wrap=True, markup=False, highlight=False, emoji=False)


class Screen:
    """stdout."""

    @property
    def is_terminal(self) -> bool:
        """Whether somebody looks on."""
        return _console.is_terminal

    def print(self, text: str = "", *, style: str | None = None) -> None:
        """Print lines of ours, as wide as they are."""
        _console.print(shown_lines(text), style=style)


out: Final = Screen()


def complain(text: str) -> None:
    """The same to stderr."""
    typer.echo(shown_lines(text), err=True)


def say_json(value: Any, default: Any = None) -> None:
    """Print a value as JSON, in which every character that a terminal obeys stands as an escape of JSON."""
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2, default=default).decode()
    typer.echo(_RAW_IN_JSON.sub(_in_json, text))


def _in_json(match: re.Match[str]) -> str:
    if unicodedata.category(match[0]) not in OBEYED:
        return match[0]
    units = match[0].encode("utf-16-be").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))


def say_bytes(body: bytes) -> None:
    """Print bytes of our own package as they are, for a pipe."""
    sys.stdout.flush()
    sys.stdout.buffer.write(body + b"\n")
    sys.stdout.flush()


def wrapped(text: str, *, indent: str = "") -> str:
    """Text in lines of at most 80 columns where its words allow, each behind `indent`."""
    return textwrap.fill(
        shown(text),
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def packed(words: Iterable[str], *, indent: str = "") -> str:
    """Words two spaces apart, as many a line as fit; one that is too long alone breaks at its own spaces."""
    lines = [""]
    for word in map(shown, words):
        longer = f"{lines[-1]}{_GAP}{word}" if lines[-1] else word
        if len(indent) + len(longer) <= WIDTH:
            lines[-1] = longer
        else:
            lines.append(word)
    return "\n".join(wrapped(line, indent=indent) if len(indent) + len(line) > WIDTH else indent + line
                     for line in lines if line)  # fmt: skip


def aligned(rows: Sequence[Sequence[str]], *, right: Iterable[int] = (), indent: str = _GAP) -> list[str]:
    """Rows as lines, each column as wide as its widest cell; those named in `right` stand to the right."""
    cells = [[shown(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    to_the_right = frozenset(right)
    return [
        indent
        + _GAP.join(
            cell.rjust(width) if place in to_the_right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
