"""The callstitch command, put together: one module of `console.commands` a group of them."""

from __future__ import annotations

from console.app import app
from console.commands import emulate, operate, parked, purge, reconcile, run, sample

__all__ = ["app", "main"]

for module in (run, sample, operate, parked, reconcile, purge, emulate):
    app.add_typer(module.commands)


def main() -> None:
    """Entry point of the `callstitch` script."""
    app()
