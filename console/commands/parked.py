"""What was put aside, `quarantine` and `dead`: list it, show it, bring it back. One function makes both groups."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import orjson
import typer

from console.app import EXIT_DIFFERENCE, ConfigOption, NumbersOption, quietly
from console.config_file import load_config
from console.reading import ask_store
from console.replay import Choice, bring_back, chosen
from console.screen import print_table
from schemas.masking import masked

OneArgument = Annotated[str, typer.Argument(metavar="ID|SIGNATURE", help="an id, or a group's signature")]
WantedArgument = Annotated[str | None, typer.Argument(metavar="ID|SIGNATURE", help="an id, or a group's signature")]
AllOption = Annotated[bool, typer.Option("--all", help="Everything that is parked there.")]
SinceOption = Annotated[datetime | None, typer.Option(help="Last parked from then on, UTC.")]
UntilOption = Annotated[datetime | None, typer.Option(help="Last parked before then, UTC.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only say how many.")]


@dataclass(frozen=True, kw_only=True)
class Box:
    """One box of parked messages, and what its commands say of themselves; `again` names the one that brings back."""

    name: str
    help: str
    listed: str
    shown: str
    again: str
    brought_back: str


BOXES = (
    Box(
        name="quarantine",
        help="Unreadable input, grouped by reason.",
        listed="Unreadable input, one line per group of equal reasons.",
        shown="Print quarantined input whole, with the raw bytes that came.",
        again="release",
        brought_back="Run today's code on the raw bytes of quarantined input again, for example after a fix of the "
        "dialect.",
    ),
    Box(
        name="dead",
        help="Failed work, per stage.",
        listed="Failed work, one line per stage and reason.",
        shown="Print dead letters whole.",
        again="replay",
        brought_back="Give dead letters to their stage again, as on the first attempt.",
    ),
)


def box_commands(box: Box) -> typer.Typer:
    """`list`, `show` and `release` or `replay` of one box."""
    group = typer.Typer(help=box.help, no_args_is_help=True)

    @group.command("list", help=box.listed)
    def list_(config: ConfigOption = None) -> None:
        _list(box.name, config)

    @group.command("show", help=box.shown)
    def show(wanted: OneArgument, config: ConfigOption = None, *, show_numbers: NumbersOption = False) -> None:
        _show(box.name, wanted, config, show_numbers=show_numbers)

    @group.command(box.again, help=box.brought_back)
    def again(
        wanted: WantedArgument = None,
        config: ConfigOption = None,
        *,
        everything: AllOption = False,
        since: SinceOption = None,
        until: UntilOption = None,
        dry_run: DryRunOption = False,
    ) -> None:
        if not (everything or wanted or since or until):
            raise typer.BadParameter("choose an id, a signature, --since, --until or --all")
        choice = Choice(box=box.name, wanted=wanted, everything=everything, since=_utc(since), until=_utc(until))
        _bring_back(config, choice, dry_run=dry_run)

    return group


commands = typer.Typer()
for one in BOXES:
    commands.add_typer(box_commands(one), name=one.name)


def _list(box: str, config: Path | None) -> None:
    columns = ["signature", "stage", "source", "count", "first_at", "last_at", "attempts", "reason", "example"]
    with quietly():
        groups = ask_store(load_config(config).store, lambda reads: reads.parked_groups(box))
    print_table(columns, [[str(group[name]) for name in columns] for group in groups])


def _show(box: str, wanted: str, config: Path | None, *, show_numbers: bool) -> None:
    with quietly():
        rows = ask_store(load_config(config).store, lambda reads: reads.parked(box, wanted=wanted, limit=20))
    if not rows:
        typer.echo("callstitch: nothing of that id or signature", err=True)
        raise typer.Exit(EXIT_DIFFERENCE)
    for row in rows:
        text = orjson.dumps(row, option=orjson.OPT_INDENT_2).decode()
        typer.echo(text if show_numbers else masked(text))


def _bring_back(config: Path | None, choice: Choice, *, dry_run: bool) -> None:
    with quietly():
        loaded = load_config(config)
        ids = chosen(loaded, choice)
        if dry_run:
            typer.echo(f"{len(ids)} message(s) would go back; nothing was changed")
        elif not ids:
            typer.echo("callstitch: nothing of that choice is parked", err=True)
            raise typer.Exit(EXIT_DIFFERENCE)
        else:
            typer.echo(f"{bring_back(loaded, ids)} message(s) go back; they stay listed until they are published")


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
