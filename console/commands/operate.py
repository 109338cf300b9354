"""The operator's commands: declare, check, config show, trace, quarantine, dead, reconcile."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import typer
from rich.console import Console
from rich.table import Column, Table

from console.config_file import load_config, redacted_url, shown
from console.ledger.account import COLUMNS, cells
from console.main import (
    EXIT_DIFFERENCE,
    ConfigOption,
    NumbersOption,
    app,
    config_app,
    dead_app,
    exit_codes,
    quarantine_app,
)
from console.reading import Account, open_reads, reach_store, reckon
from console.replay import Choice, bring_back, chosen
from console.tracing import trace_rows
from runtime.broker import open_broker
from runtime.logs import configure_logs
from schemas.masking import masked
from workers.objects import open_objects
from workers.wiring import config_topology

PIPED_WIDTH: Final = 4000
LEDGER_WIDTH: Final = 150  # narrower, its equations would break over lines

out = Console(soft_wrap=True)

WantedArgument = Annotated[str | None, typer.Argument(metavar="ID|SIGNATURE", help="an id, or a group's signature")]
AllOption = Annotated[bool, typer.Option("--all", help="Everything that is parked there.")]
SinceOption = Annotated[datetime | None, typer.Option(help="Last parked from then on, UTC.")]
UntilOption = Annotated[datetime | None, typer.Option(help="Last parked before then, UTC.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only say how many.")]


@contextmanager
def quietly() -> Iterator[None]:
    """Exit codes as documented; what is logged meanwhile goes to stderr, so that stdout is the answer alone."""
    configure_logs(json=not sys.stderr.isatty(), level=logging.WARNING)
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)  # broker.unreachable says the same, once
    with exit_codes():
        yield


@app.command()
def declare(config: ConfigOption = None) -> None:
    """Create the exchanges, queues and bindings that the config needs, and unbind what it no longer wants."""

    async def run() -> int:
        loaded = load_config(config)
        wanted = config_topology(loaded)
        async with open_broker(loaded.broker) as broker:
            await broker.declare(wanted)
        return len(wanted.queues)

    with quietly():
        typer.echo(f"declared {asyncio.run(run())} queues")


@app.command()
def check(config: ConfigOption = None) -> None:
    """Check the config and reach everything that it names."""

    async def run() -> None:
        loaded = load_config(config)
        out.print(f"config: {len(loaded.source)} source(s), {len(loaded.sink)} sink(s), {len(loaded.queue)} queue(s)")
        open_objects(loaded.objects)
        out.print(f"objects: {redacted_url(loaded.objects.text)}")
        async with open_broker(loaded.broker) as broker:
            await broker.check(config_topology(loaded))
        out.print(f"broker: {redacted_url(loaded.broker.text)} answers, and the topology is declared")
        await asyncio.to_thread(reach_store, loaded)
        out.print(f"store: {redacted_url(loaded.store.text)}")

    with quietly():
        asyncio.run(run())


@config_app.command("show")
def config_show(config: ConfigOption = None) -> None:
    """Print the config as it is understood, secrets redacted."""
    with quietly():
        typer.echo(orjson.dumps(shown(load_config(config)), option=orjson.OPT_INDENT_2, default=_plain).decode())


def _plain(value: Any) -> Any:
    return f"{value.total_seconds():g}s" if isinstance(value, timedelta) else str(value)


@app.command()
def trace(call: str, config: ConfigOption = None, *, show_numbers: NumbersOption = False) -> None:
    """Print everything known about one call, in order; CALL is its id, or the platform's session id alone."""
    with quietly():
        reads = open_reads(load_config(config))
        show = (lambda text: text) if show_numbers else masked
        found = [one for one in reads.calls(call) if one == call] or reads.calls(call)
        if len(found) != 1:
            which = "".join(f"\n  {show(one)}" for one in found)
            typer.echo(f"callstitch: {'say which call:' if found else 'no call has that id'}{which}", err=True)
            raise typer.Exit(EXIT_DIFFERENCE)
        session = reads.session(found[0])
    assert session is not None
    out.print(f"call {found[0]}: {session['status']}, revision {session['state']['revision']}", markup=False)
    _print_table(["at", "what", "details"], [[show(cell) for cell in row] for row in trace_rows(session)])


@quarantine_app.command("list")
def quarantine_list(config: ConfigOption = None) -> None:
    """Unreadable input, one line per group of equal reasons."""
    _list_box("quarantine", config)


@dead_app.command("list")
def dead_list(config: ConfigOption = None) -> None:
    """Failed work, one line per stage and reason."""
    _list_box("dead", config)


@quarantine_app.command("show")
def quarantine_show(
    wanted: Annotated[str, typer.Argument(help="an id, or a group's signature")],
    config: ConfigOption = None,
    *,
    show_numbers: NumbersOption = False,
) -> None:
    """Print quarantined input whole, with the raw bytes that came."""
    _show_box("quarantine", wanted, config, show_numbers=show_numbers)


@dead_app.command("show")
def dead_show(
    wanted: Annotated[str, typer.Argument(help="an id, or a group's signature")],
    config: ConfigOption = None,
    *,
    show_numbers: NumbersOption = False,
) -> None:
    """Print dead letters whole."""
    _show_box("dead", wanted, config, show_numbers=show_numbers)


def _list_box(box: str, config: Path | None) -> None:
    columns = ["signature", "stage", "source", "count", "first_at", "last_at", "attempts", "reason", "example"]
    with quietly():
        groups = open_reads(load_config(config)).parked_groups(box)
    _print_table(columns, [[str(group[name]) for name in columns] for group in groups])


def _show_box(box: str, wanted: str, config: Path | None, *, show_numbers: bool) -> None:
    with quietly():
        rows = open_reads(load_config(config)).parked(box, wanted=wanted, limit=20)
    if not rows:
        typer.echo("callstitch: nothing of that id or signature", err=True)
        raise typer.Exit(EXIT_DIFFERENCE)
    for row in rows:
        text = orjson.dumps(row, option=orjson.OPT_INDENT_2).decode()
        typer.echo(text if show_numbers else masked(text))


@quarantine_app.command("release")
def quarantine_release(
    wanted: WantedArgument = None,
    config: ConfigOption = None,
    *,
    everything: AllOption = False,
    since: SinceOption = None,
    until: UntilOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Run today's code on the raw bytes of quarantined input again, for example after a fix of the dialect."""
    _refuse_nothing(wanted, since, until, everything=everything)
    choice = Choice(box="quarantine", wanted=wanted, everything=everything, since=_utc(since), until=_utc(until))
    _bring_back(config, choice, dry_run=dry_run)


@dead_app.command("replay")
def dead_replay(
    wanted: WantedArgument = None,
    config: ConfigOption = None,
    *,
    everything: AllOption = False,
    since: SinceOption = None,
    until: UntilOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Give dead letters to their stage again, as on the first attempt."""
    _refuse_nothing(wanted, since, until, everything=everything)
    choice = Choice(box="dead", wanted=wanted, everything=everything, since=_utc(since), until=_utc(until))
    _bring_back(config, choice, dry_run=dry_run)


def _refuse_nothing(*choices: object, everything: bool) -> None:
    if not (everything or any(choices)):
        raise typer.BadParameter("choose an id, a signature, --since, --until or --all")


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


@app.command()
def reconcile(
    config: ConfigOption = None,
    since: Annotated[datetime | None, typer.Option(help="From this hour on, UTC.")] = None,
    until: Annotated[datetime | None, typer.Option(help="Up to this hour, UTC.")] = None,
    source: Annotated[str | None, typer.Option(help="Only this source.")] = None,
    *,
    fact_by_fact: Annotated[
        bool, typer.Option("--fact-by-fact", help="Compare the facts of closed hours even where the counts agree.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Compare what was answered with what became of it; exits 1 only for a difference in a closed window."""
    now = datetime.now(UTC)
    with quietly():
        loaded = load_config(config)
        account = reckon(loaded, since=since, until=until, source=source, now=now, fact_by_fact=fact_by_fact)
        if source is not None and not account.rows and source not in {one.name for one in loaded.source}:
            raise typer.BadParameter("neither the config nor the ledger has a source of that name")
    if json:
        typer.echo(orjson.dumps(account.as_json(), option=orjson.OPT_INDENT_2).decode())
    else:
        _print_account(account)
    if not account.balanced:
        raise typer.Exit(EXIT_DIFFERENCE)


def _print_account(account: Account) -> None:
    table = Table(*COLUMNS, box=None)
    for row in account.rows:
        table.add_row(*cells(row, account.differences))
    Console(soft_wrap=True, width=max(out.width, LEDGER_WIDTH)).print(table, markup=False)
    outlets = [[one.queue, str(one.sent), _known(one.held), str(one.dead)] for one in account.outlets]
    _print_table(["events leave by", "sent (7 days)", "held", "dead"], outlets)
    if account.queues is None:
        out.print("the broker does not tell what its queues hold")
    for difference in account.differences:
        out.print(str(difference), markup=False)
    if account.balanced:
        out.print("balanced, but for what is in flight" if account.differences else "balanced")


def _known(count: int | None) -> str:
    return "?" if count is None else str(count)


def _print_table(columns: list[str], rows: list[list[str]]) -> None:
    """Whole values always: on a terminal they are folded, elsewhere a row is a line."""
    table = Table(*(Column(name, overflow="fold") for name in columns), box=None)
    for row in rows:
        table.add_row(*row)
    width = out.width if out.is_terminal else PIPED_WIDTH
    Console(soft_wrap=True, width=width).print(table, markup=False)
