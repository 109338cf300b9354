"""`callstitch trace`: everything known about one call, in order, and what became of its events at each outlet."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from console.app import EXIT_DIFFERENCE, ConfigOption, NumbersOption, quietly
from console.config_file import load_config
from console.moments import DEFAULT_ZONE, ZoneOption
from console.screen import complain, out, say_json
from console.trace.meant import Meant, is_uuid, meant
from console.trace.outlets import outlets_told, recordings_told
from console.trace.page import Told, as_json, limit, lines_of, several, several_json, stray_json, stray_lines
from console.trace.stray import Stray, stray
from workers.config import Config
from workers.stores import open_reads

commands = typer.Typer()

CallArgument = Annotated[
    str,
    typer.Argument(
        metavar="CALL",
        help="Id of the call, the platform's session id, a number, or the id of a record, a binding or an event.",
    ),
]


@commands.command()
def trace(
    call: CallArgument,
    config: ConfigOption = None,
    tz: ZoneOption = DEFAULT_ZONE,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object, with times in UTC.")] = False,
    show_numbers: NumbersOption = False,
) -> None:
    """Print everything known about one call or SMS, in order, and what became of its events at each outlet."""
    with quietly():
        found, told = asyncio.run(_told(load_config(config), call))
    if isinstance(told, Stray):
        if json:
            say_json(stray_json(told))
            return
        for line in stray_lines(told, tz):
            out.print(line)
        return
    if told is None:
        if json:
            say_json(several_json(found, show_numbers=show_numbers))
        elif found.calls:
            complain("\n".join([*several(found, tz, show_numbers=show_numbers)]))
        else:
            complain("callstitch: no call has that id or number")
            if found.back_to:
                complain(limit(found, tz))
        raise typer.Exit(EXIT_DIFFERENCE)
    if json:
        say_json(as_json(told, show_numbers=show_numbers))
        return
    for line in lines_of(told, tz, show_numbers=show_numbers):
        out.print(line)


async def _told(config: Config, call: str) -> tuple[Meant, Told | Stray | None]:
    async with open_reads(config.store) as reads:
        found = await meant(reads, call, [source.name for source in config.source])
        session = await reads.session(found.calls[0]) if len(found.calls) == 1 else None
        if session is None:
            known = await stray(reads, config, call.lower()) if is_uuid(call) and not found.calls else None
            return found, known
        return found, Told(
            session=session,
            outlets=await outlets_told(reads, config, session),
            recordings=await recordings_told(reads, session),
        )
