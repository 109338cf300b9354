"""What the operator's commands print: whole values, whatever the width."""

from __future__ import annotations

from typing import Final

from rich.console import Console
from rich.table import Column, Table

PIPED_WIDTH: Final = 4000

out = Console(soft_wrap=True)


def print_table(columns: list[str], rows: list[list[str]]) -> None:
    """Whole values always: on a terminal they are folded, elsewhere a row is a line."""
    table = Table(*(Column(name, overflow="fold") for name in columns), box=None)
    for row in rows:
        table.add_row(*row)
    width = out.width if out.is_terminal else PIPED_WIDTH
    Console(soft_wrap=True, width=width).print(table, markup=False)
