"""The operator's commands on the config and on one call: declare, check, config show, trace."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Annotated, Any

import typer

from console.admission import edges, leftovers
from console.admission.edges import Verbatim
from console.admission.examination import findings
from console.app import EXIT_DIFFERENCE, ConfigOption, NumbersOption, exit_code, quietly
from console.config_file import load_config, shown
from console.moments import DEFAULT_ZONE, ZoneOption
from console.reading import ask_store
from console.screen import complain, out, say_json, wrapped
from console.timeline import story, title
from runtime.broker import open_broker
from schemas.envelope import JsonObject
from schemas.errors import CallstitchError
from schemas.masking import masked_id
from schemas.shown import shown as one_line
from workers.config import config_topology
from workers.stores.reads import CallReads

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


@commands.command()
def trace(
    call: Annotated[str, typer.Argument(metavar="CALL", help="Id of the call, or the platform's session id alone.")],
    config: ConfigOption = None,
    tz: ZoneOption = DEFAULT_ZONE,
    *,
    show_numbers: NumbersOption = False,
) -> None:
    """Print everything known about one call or SMS, in order."""
    with quietly():
        found, session = ask_store(load_config(config).store, partial(_meant, call=call))
        if session is None:
            what = "several calls have that id, choose one:" if found else "no call has that id"
            ids = found if show_numbers else map(masked_id, found)
            complain("\n  ".join([f"callstitch: {what}", *map(one_line, ids)]))
            raise typer.Exit(EXIT_DIFFERENCE)
    out.print(wrapped(f"call {session['id'] if show_numbers else title(session)}"))
    out.print(f"{session['status']}, revision {session['state']['revision']}; times in {tz}")
    for line in story(session, tz, show_numbers=show_numbers):
        out.print(line)


async def _meant(reads: CallReads, call: str) -> tuple[Sequence[str], JsonObject | None]:
    """The calls that may be meant, and what is known of it where it is one."""
    ending = await reads.calls(call)
    found = [call] if call in ending else ending
    return found, await reads.session(found[0]) if len(found) == 1 else None


# FIX console/commands/operate.py
