"""The operator's commands: declare, check, config show, trace, quarantine, dead, reconcile, emulate."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from console.config_file import load_config, redacted_url, shown
from console.emulator.play import play
from console.emulator.settings import EmulatorSettings
from console.ledger import differences, read_ledger, totals
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
from console.reading import open_reads, reach_store
from console.replay import Choice, bring_back, chosen
from console.tracing import trace_rows
from runtime.broker import open_broker
from schemas.masking import masked
from workers.objects import open_objects
from workers.wiring import config_topology

out = Console(soft_wrap=True)

WantedArgument = Annotated[str | None, typer.Argument(metavar="ID|SIGNATURE", help="an id, or a group's signature")]
AllOption = Annotated[bool, typer.Option("--all", help="Everything that is parked there.")]
SinceOption = Annotated[datetime | None, typer.Option(help="Last parked from then on, UTC.")]
UntilOption = Annotated[datetime | None, typer.Option(help="Last parked before then, UTC.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only say how many.")]


@app.command()
def declare(config: ConfigOption = None) -> None:
    """Create the exchanges, queues and bindings that the config needs, and unbind what it no longer wants."""

    async def run() -> int:
        loaded = load_config(config)
        wanted = config_topology(loaded)
        async with open_broker(loaded.broker) as broker:
            await broker.declare(wanted)
        return len(wanted.queues)

    with exit_codes():
        typer.echo(f"declared {asyncio.run(run())} queues")


@app.command()
def check(config: ConfigOption = None) -> None:
    """Check the config and reach everything that it names."""

    async def run() -> None:
        loaded = load_config(config)
        out.print(f"config: {len(loaded.source)} source(s), {len(loaded.sink)} sink(s), {len(loaded.queue)} queue(s)")
        open_objects(loaded.objects)
        out.print(f"objects: {redacted_url(loaded.objects)}")
        async with open_broker(loaded.broker) as broker:
            await broker.check(config_topology(loaded))
        out.print(f"broker: {redacted_url(loaded.broker)} answers, and the topology is declared")
        await asyncio.to_thread(reach_store, loaded)
        out.print(f"store: {redacted_url(loaded.store)}")

    with exit_codes():
        asyncio.run(run())


@config_app.command("show")
def config_show(config: ConfigOption = None) -> None:
    """Print the config as it is understood, secrets redacted."""
    with exit_codes():
        typer.echo(orjson.dumps(shown(load_config(config)), option=orjson.OPT_INDENT_2, default=_plain).decode())


def _plain(value: Any) -> Any:
    return f"{value.total_seconds():g}s" if isinstance(value, timedelta) else str(value)


@app.command()
def trace(call: str, config: ConfigOption = None, *, show_numbers: NumbersOption = False) -> None:
    """Print everything known about one call, in order; CALL is its id, or the platform's session id alone."""
    with exit_codes():
        reads = open_reads(load_config(config))
        found = [one for one in reads.calls(call) if one == call] or reads.calls(call)
        if len(found) != 1:
            typer.echo(f"callstitch: {len(found)} calls end in that id", err=True)
            raise typer.Exit(EXIT_DIFFERENCE)
        session = reads.session(found[0])
    assert session is not None
    show = (lambda text: text) if show_numbers else masked
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
    with exit_codes():
        groups = open_reads(load_config(config)).parked_groups(box)
    _print_table(columns, [[str(group[name]) for name in columns] for group in groups])


def _show_box(box: str, wanted: str, config: Path | None, *, show_numbers: bool) -> None:
    with exit_codes():
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
    choice = Choice(box="dead", wanted=wanted, everything=everything, since=_utc(since), until=_utc(until))
    _bring_back(config, choice, dry_run=dry_run)


def _bring_back(config: Path | None, choice: Choice, *, dry_run: bool) -> None:
    with exit_codes():
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
) -> None:
    """Compare what was answered with what became of it; exits 1 only for a difference in a closed window."""
    with exit_codes():
        loaded = load_config(config)
        rows = read_ledger(open_reads(loaded), since=since, until=until, source=source)
        found = differences(rows, now=datetime.now(UTC))
    columns = ["source", "hour", *totals([])]
    _print_table(columns, [[str(row.get(name, "")) for name in columns] for row in rows])
    for difference in found:
        out.print(difference, markup=False)
    if not found:
        out.print("balanced")
    if any("in flight" not in difference for difference in found):
        raise typer.Exit(EXIT_DIFFERENCE)


def _print_table(columns: list[str], rows: list[list[str]]) -> None:
    table = Table(*columns, box=None)
    for row in rows:
        table.add_row(*row)
    out.print(table, markup=False)


@app.command()
def emulate(
    *,
    to: Annotated[str, typer.Option(help="Base URL of one source at the door, token included.")],
    seed: Annotated[int, typer.Option(help="Same seed, same traffic.")] = 1,
    calls: Annotated[int, typer.Option(help="How many calls to play.")] = 200,
    rate: Annotated[float | None, typer.Option(help="Notifications per second; none: as fast as it goes.")] = None,
    truth: Annotated[Path | None, typer.Option(help="Where to write what was sent, as JSON lines.")] = None,
    recordings: Annotated[str, typer.Option(help="Where the recording API listens.")] = "127.0.0.1:0",
    app_key: Annotated[str, typer.Option(help="Signs the pushes and checks the recording requests.")] = "EMULATORKEY",
    app_secret: Annotated[str, typer.Option(envvar="CALLSTITCH_EMULATOR_SECRET")] = "emulator-secret",  # noqa: S107
    concurrency: Annotated[int, typer.Option(help="Requests under way at once, at most.")] = 16,
    repush_factor: Annotated[
        float,
        typer.Option(help="How many times faster than the platform it pushes again; 600: 1 minute is 0.1 s."),
    ] = 600,
    linger: Annotated[float, typer.Option(help="Seconds to go on serving recordings; negative: until stopped.")] = 0,
) -> None:
    """Play Huawei PrivateNumber over real HTTP: all five modes, re-pushes, merged and amended CDRs, recordings."""
    settings = EmulatorSettings(
        to=to, seed=seed, calls=calls, rate=rate, truth=truth, recordings_listen=recordings, app_key=app_key,
        app_secret=app_secret, repush_factor=repush_factor, concurrency=concurrency,
        linger_seconds=None if linger < 0 else linger,
        start=datetime(2026, 1, 5, 8, tzinfo=UTC), signed_at=datetime.now(UTC),
    )  # fmt: skip
    with Progress(transient=False) as progress:
        task = progress.add_task("playing calls", total=calls)
        played = asyncio.run(play(settings, on_progress=lambda done, _: progress.update(task, completed=done)))
    typer.echo(
        f"{played.calls} calls, {played.posts_200} posts answered 200, {played.items_accepted} items"
        f" ({played.distinct_items_accepted} distinct), {played.posts_given_up} given up"
    )
    for fault in played.faults:
        typer.echo(f"fault: {fault}", err=True)
    if played.faults or played.posts_given_up:
        raise typer.Exit(EXIT_DIFFERENCE)
