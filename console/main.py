"""The callstitch command, put together: one module of `console.commands` a group of them; run as a program."""

from __future__ import annotations

from console.app import app
from console.commands import (
    contract,
    drain,
    emulate,
    fake,
    health,
    hold,
    operate,
    parked,
    purge,
    reconcile,
    run,
    sample,
    sink,
    tail,
    trace,
)

__all__ = ["app", "main"]

modules = (
    run,
    health,
    sample,
    operate,
    trace,
    parked,
    reconcile,
    sink,
    hold,
    drain,
    purge,
    emulate,
    fake,
    contract,
    tail,
)
for module in modules:
    app.add_typer(module.commands)


def main() -> None:
    """Run the command that the arguments name."""
    app()


if __name__ == "__main__":
    main()
