"""`callstitch health`, for --help; `console.__main__` runs the probe itself, without all that this one imports."""

from __future__ import annotations

import typer

from console.app import ConfigOption
from console.health import probe

commands = typer.Typer()


@commands.command()
def health(config: ConfigOption = None) -> None:
    """Ask the role at the config's admin port whether it is ready; exit code 0 or 1."""
    raise typer.Exit(probe.main(["--config", str(config)] if config else []))
