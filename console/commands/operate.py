"""The operator's commands on the config: declare, check, config show."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Annotated, Any

import typer

from console.admission import edges, leftovers
from console.admission.edges import Verbatim
from console.admission.examination import findings
from console.app import ConfigOption, exit_code, quietly
from console.config_file import load_config, shown
from console.screen import complain, out, say_json, wrapped
from runtime.broker import open_broker
from schemas.errors import CallstitchError
from workers.config import config_topology

commands = typer.Typer()
config_commands = typer.Typer(help="Look at the config.", no_args_is_help=True)
commands.add_typer(config_commands, name="config")


@commands.command()
def declare(
    config: ConfigOption = None,
    *,
    prune: Annotated[
        bool, typer.Option("--prune", help="Delete empty queues that were declared before and are not wanted now.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="With --prune: those with messages too, which go to the dead letters first.")
    ] = False,
) -> None:
    """Create the exchanges, queues and bindings that the config needs, and unbind what it no longer wants."""
    if force and not prune:
        raise typer.BadParameter("it is for --prune", param_hint="--force")

    async def run() -> None:
        loaded = load_config(config)
        async with open_broker(loaded.broker) as broker:
            left = await leftovers.declare(loaded, broker)
            out.print(f"declared {len(config_topology(loaded).queues)} queues")
            if prune:
                async for sentence in leftovers.prune(loaded, broker, force=force):
                    out.print(wrapped(sentence))
            lossy = await edges.told_of(loaded, broker)
        for sentence in () if prune else leftovers.told_of(left):
            out.print(wrapped(f"{sentence}: `callstitch declare --prune` deletes it"))
        for line in lossy:
            _say(line)

    with quietly():
        asyncio.run(run())


@commands.command()
def check(config: ConfigOption = None) -> None:
    """Check the config, and whether all that it names would let the roles work; every fault is told, none is mended."""

    async def run() -> list[CallstitchError]:
        faults: list[CallstitchError] = []
        async for finding in findings(load_config(config)):
            if isinstance(finding, CallstitchError):
                faults.append(finding)
            else:
                _say(finding)
        return faults

    with quietly():
        faults = asyncio.run(run())
        for fault in faults:
            complain(f"callstitch: {fault}")
        if faults:
            raise typer.Exit(max(exit_code(fault) for fault in faults))


def _say(line: str) -> None:
    out.print(line if isinstance(line, Verbatim) else wrapped(line))


@config_commands.command("show")
def config_show(config: ConfigOption = None) -> None:
    """Print the config as Callstitch reads it, secrets redacted."""
    with quietly():
        say_json(shown(load_config(config)), default=_plain)


def _plain(value: Any) -> Any:
    return f"{value.total_seconds():g}s" if isinstance(value, timedelta) else str(value)
