"""The bar of `emulate`, while it still serves recordings."""

from __future__ import annotations

from io import StringIO

from rich.console import Console
from rich.progress import Progress

from console.commands.emulate import bar

SHOW_CURSOR = "\x1b[?25h"


def test_the_bar_ends_its_line_with_the_last_call() -> None:
    """`make demo` went on printing in the bar's line, because the emulator lingers until it is stopped."""
    text = StringIO()
    with Progress(console=Console(file=text, force_terminal=True, width=80)) as progress:
        show = bar(progress, 2)
        show(1, 2)
        assert not text.getvalue().removesuffix(SHOW_CURSOR).endswith("\n")
        show(2, 2)
        assert text.getvalue().removesuffix(SHOW_CURSOR).endswith("\n")
