"""`callstitch hold`: an operator lets stages rest while their store is backed up, restored or moved."""

from __future__ import annotations

import asyncio
import getpass
import socket
from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer

from console.app import EXIT_DIFFERENCE, ConfigOption, quietly
from console.config_file import load_config
from console.screen import complain, out, say_json, wrapped
from console.stations.resting import held_until_at_rest, let_go
from console.stations.switchboard import Stand, open_switchboard, word_of
from runtime.hold.word import Word, moment
from schemas.topology import HOLDABLE, INGEST, SWITCHES
from workers.config import Config

commands = typer.Typer()

REST_SECONDS: Final = 60.0

RolesArgument = Annotated[list[str] | None, typer.Argument(metavar="[ROLE]...", help=f"Of {', '.join(SWITCHES)}.")]
ByOption = Annotated[str | None, typer.Option(help="Who says so; else the user and the host.")]
WhyOption = Annotated[str, typer.Option(help="What for; whoever finds it held is told.")]


@commands.command()
def hold(
    roles: RolesArgument = None,
    config: ConfigOption = None,
    by: ByOption = None,
    why: WhyOption = "",
    timeout: Annotated[float, typer.Option(min=0, help="Seconds to wait until nobody is at work.")] = REST_SECONDS,
    *,
    every: Annotated[bool, typer.Option("--all", help="All stages; the doors go on.")] = False,
    end: Annotated[bool, typer.Option("--end", help="Let them go on.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, with times in UTC.")] = False,
) -> None:
    """Let stages rest, with nothing of them open, until --end; alone tell what is held. Held `ingest` refuses pushes.

    Ends with 0 once nobody of them is at work any more, with 1 where somebody still is.
    """
    names = _chosen(roles or [], every=every)
    if end and not names:
        raise typer.BadParameter("which roles, or --all?", param_hint="--end")
    with quietly():
        loaded = load_config(config)
        if not names:
            return _tell(asyncio.run(_stands(loaded)), as_json=json)
        if end:
            return asyncio.run(_release(loaded, names))
        at_work = asyncio.run(_hold(loaded, names, word_of(by or who(), why), timeout))
    if at_work:
        raise typer.Exit(EXIT_DIFFERENCE)
    return None


def who() -> str:
    """The user and the host."""
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):  # a container's uid has no name
        return socket.gethostname()


def _chosen(roles: list[str], *, every: bool) -> list[str]:
    if unknown := sorted(set(roles) - set(SWITCHES)):
        raise typer.BadParameter(f"{', '.join(unknown)}: one of {', '.join(SWITCHES)}", param_hint="ROLE")
    return [name for name in SWITCHES if name in roles or (every and name in HOLDABLE)]


async def _stands(config: Config) -> Sequence[Stand]:
    async with open_switchboard(config) as board:
        return await board.stands(SWITCHES)


async def _hold(config: Config, names: list[str], word: Word, seconds: float) -> bool:
    async with open_switchboard(config) as board:
        for name in names:
            if not await board.hold(name, word):
                out.print(f"{name} is held already")
        left = await held_until_at_rest(board, names, seconds, tell=out.print)
    for stand in left:
        complain(f"callstitch: {stand.name}: {stand.at_work} process(es) still at work after {seconds:g} s")
    if not left:
        out.print(wrapped(f"{', '.join(names)}: at rest"))
    return bool(left)


async def _release(config: Config, names: list[str]) -> None:
    async with open_switchboard(config) as board:
        await let_go(board, names, tell=out.print)
    out.print(wrapped(f"{', '.join(names)}: go on within 2 s"))


def _tell(stands: Sequence[Stand], *, as_json: bool) -> None:
    if as_json:
        return say_json([_as_json(stand) for stand in stands])
    for stand in stands:
        verb = "closed" if stand.name == INGEST else "held"
        state = f"{verb} {stand.word}" if stand.word else "runs"
        out.print(wrapped(f"{stand.name}: {state}, {stand.at_work} process(es) at work"))
    return None


def _as_json(stand: Stand) -> dict[str, Any]:
    word = stand.word
    return {
        "role": stand.name,
        "held": word is not None,
        "by": word.by if word else None,
        "since": (moment(word.since) or None) if word else None,
        "why": (word.why or None) if word else None,
        "at_work": stand.at_work,
    }
