"""What was put aside, `quarantine`, `dead` and `unrouted`: list, show, bring back. One function makes all groups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from console.app import EXIT_DIFFERENCE, ConfigOption, NumbersOption, quietly
from console.config_file import load_config
from console.moments import DEFAULT_ZONE, ZoneOption, in_json, in_utc, moment_option, shown
from console.reading import ask_store
from console.replay import Choice, bring_back, chosen
from console.screen import complain, out, packed, say_json, wrapped
from schemas.envelope import JsonObject
from schemas.masking import masked_json, without_signatures
from schemas.topology import EDGE

OneArgument = Annotated[str, typer.Argument(metavar="ID|SIGNATURE", help="Id of a message, or signature of a group.")]
WantedArgument = Annotated[
    str | None, typer.Argument(metavar="ID|SIGNATURE", help="Id of a message, or signature of a group.")
]
AllOption = Annotated[bool, typer.Option("--all", help="Everything that is in there.")]
SinceOption = Annotated[datetime | None, moment_option("Only messages last parked at this time or later.")]
UntilOption = Annotated[datetime | None, moment_option("Only messages last parked before this time.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only print how many there are.")]


@dataclass(frozen=True, kw_only=True)
class Box:
    """One box of parked messages, and what its commands say of themselves; `again` names the one that brings back."""

    name: str
    help: str
    listed: str
    empty: str
    shown: str
    again: str
    brought_back: str


BOXES = (
    Box(
        name="quarantine",
        help="Unreadable input, grouped by reason.",
        listed="List unreadable input, grouped by reason.",
        empty="the quarantine is empty",
        shown="Print quarantined input in full, with the raw bytes that came.",
        again="release",
        brought_back="Parse quarantined input again from its raw bytes, for example after a fix of the dialect.",
    ),
    Box(
        name="dead",
        help="Failed work, per stage.",
        listed="List failed work, grouped by stage and reason.",
        empty="there are no dead letters",
        shown="Print dead letters in full.",
        again="replay",
        brought_back="Send dead letters back to their stage, as on the first attempt.",
    ),
    Box(
        name="unrouted",
        help="Events that no queue wanted.",
        listed="List events that no queue wanted, by source.",
        empty="every event found a queue",
        shown="Print events that no queue wanted in full.",
        again="replay",
        brought_back="Publish them again, for the queues that want them by now; what nobody wants still comes back.",
    ),
)


def box_commands(box: Box) -> typer.Typer:
    """`list`, `show` and `release` or `replay` of one box."""
    group = typer.Typer(help=box.help, no_args_is_help=True)

    @group.command("list", help=box.listed)
    def list_(config: ConfigOption = None, tz: ZoneOption = DEFAULT_ZONE) -> None:
        _list(box, config, tz)

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
        tz: ZoneOption = DEFAULT_ZONE,
        dry_run: DryRunOption = False,
    ) -> None:
        if not (everything or wanted or since or until):
            raise typer.BadParameter("choose an id, a signature, --since, --until or --all")
        first, last = in_utc(since, tz), in_utc(until, tz)
        choice = Choice(box=box.name, wanted=wanted, everything=everything, since=first, until=last)
        _bring_back(config, choice, dry_run=dry_run)

    return group


commands = typer.Typer()
for one in BOXES:
    commands.add_typer(box_commands(one), name=one.name)


def _list(box: Box, config: Path | None, zone: ZoneInfo) -> None:
    with quietly():
        groups = ask_store(load_config(config).store, lambda reads: reads.parked_groups(box.name))
    if not groups:
        out.print(box.empty)
        return
    messages = sum(group["count"] for group in groups)
    going = sum(group["count"] for group in groups if group["state"] == "wanted")
    out.print(f"{messages} message(s) in {len(groups)} group(s), largest first; times in {zone}")
    if going:
        out.print(f"{going} of them are wanted back: they go as soon as the park stage has published them")
    for group in groups:
        out.print()
        for line in _group_lines(group, zone):
            out.print(line)


def _group_lines(group: JsonObject, zone: ZoneInfo) -> Iterator[str]:
    """One group; what is copied from it, its signature and the id of an example, is never split."""
    where = [f"stage {group['stage']}"] if group["stage"] else []
    items = "events" if group["stage"].startswith(EDGE) else "bad items"
    bad = [f"up to {group['items']} {items}"] if group["items"] > group["count"] else []
    found = [f"{group['count']} message(s)", *bad]
    yield packed([group["signature"], *found, *where, f"source {group['source'] or '-'}"])
    yield wrapped(group["reason"], indent="    ")
    if group["state"] == "wanted":
        yield "    wanted back, not published yet"
    first, last = shown(group["first_at"], zone), shown(group["last_at"], zone)
    times = last if first == last else f"{first} to {last}"
    yield packed([times, f"attempts {group['attempts']}"], indent="    ")
    yield f"    example {group['example']}"


def _show(box: str, wanted: str, config: Path | None, *, show_numbers: bool) -> None:
    with quietly():
        rows = ask_store(load_config(config).store, lambda reads: reads.parked(box, wanted=wanted, limit=20))
    if not rows:
        complain("callstitch: nothing has that id or signature")
        raise typer.Exit(EXIT_DIFFERENCE)
    for row in rows:
        row |= {"first_at": in_json(row["first_at"]), "last_at": in_json(row["last_at"])}
        say_json(without_signatures(row) if show_numbers else masked_json(row))


def _bring_back(config: Path | None, choice: Choice, *, dry_run: bool) -> None:
    with quietly():
        loaded = load_config(config)
        ids = chosen(loaded, choice)
        if dry_run:
            out.print(f"{len(ids)} message(s) would go back; nothing was changed")
        elif not ids:
            complain("callstitch: nothing that was chosen is in there")
            raise typer.Exit(EXIT_DIFFERENCE)
        else:
            out.print(f"{bring_back(loaded, ids)} message(s) go back as soon as the park stage has published them")
