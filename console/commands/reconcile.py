"""`callstitch reconcile`: the ledger as a table, or as JSON."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from console.admission.leftovers import told_of
from console.app import EXIT_DIFFERENCE, ConfigOption, NumbersOption, quietly
from console.config_file import load_config
from console.ledger.outlets import Outlet
from console.ledger.table import lines, sentence
from console.moments import DEFAULT_ZONE, ZoneOption, in_utc, moment_option, shown
from console.reading import Account, reckon
from console.screen import out, say_json, wrapped
from runtime.events.batch import BATCH_EVENTS

commands = typer.Typer()


@commands.command()
def reconcile(
    config: ConfigOption = None,
    since: Annotated[datetime | None, moment_option("From this hour on.")] = None,
    until: Annotated[datetime | None, moment_option("Up to and including this hour.")] = None,
    source: Annotated[str | None, typer.Option(help="Only this source.")] = None,
    tz: ZoneOption = DEFAULT_ZONE,
    *,
    fact_by_fact: Annotated[
        bool, typer.Option("--fact-by-fact", help="Compare closed hours fact by fact, even where the counts agree.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, with times in UTC.")] = False,
    show_numbers: NumbersOption = False,
) -> None:
    """Compare what was answered with what became of it.

    Exit code 1 means a difference in a closed window, or that no door has told yet what it answered.
    """
    now = datetime.now(UTC)
    with quietly():
        loaded = load_config(config)
        first, last = in_utc(since, tz), in_utc(until, tz)
        reckoning = reckon(loaded, since=first, until=last, source=source, now=now, fact_by_fact=fact_by_fact)
        account = asyncio.run(reckoning)
        if not show_numbers:
            account = account.masked
        if source is not None and not account.rows and source not in {one.name for one in loaded.source}:
            raise typer.BadParameter("neither the config nor the ledger has a source of that name")
    if json:
        say_json(account.as_json())
    else:
        _print_account(account, tz)
    if not account.balanced or not account.tallied:
        raise typer.Exit(EXIT_DIFFERENCE)


def _print_account(account: Account, zone: ZoneInfo) -> None:
    out.print(f"answered and what became of it, by source and hour; times in {zone}")
    if not account.rows:
        out.print("nothing was answered in that time")
    for line in lines(account.rows, account.differences, zone, tallied=account.tallied):
        out.print(line)
    if account.outlets:
        out.print("events leave by")
    for one in account.outlets:
        out.print(f"  {one.queue}")
        sent = f"offered {one.offered}, sent ?" if one.sent is None else f"sent {one.sent}"
        held = "?" if one.held is None else one.held
        out.print(f"    {sent}, held {held}, dead {one.dead}, taken {_taken(one)}")
        out.print(f"    {_counted(one, zone)}")
        if waiting := _waiting(one):
            out.print(wrapped(waiting, indent="    "))
        if one.filtered:
            out.print(wrapped("of what was offered it wants some, by outcomes or products", indent="    "))
        if one.uncounted:
            out.print(wrapped(f"without {', '.join(one.uncounted)}, which leave no row", indent="    "))
    if account.queues is None:
        out.print("the broker does not say what its queues hold")
    for difference in account.differences:
        out.print(sentence(difference, zone))
    _print_verdict(account)


def _print_verdict(account: Account) -> None:
    for told in told_of(account.leftovers):
        out.print(wrapped(told))
    if going := sum(row["wanted"] for row in account.rows):
        out.print(f"{going} message(s) are wanted back and not published yet: is the park stage running?")
    if not account.tallied:
        out.print(wrapped("no tally yet: doors tell once a minute what they answered, and nothing is compared before"))
    elif account.balanced:
        out.print("balanced, but for what is in flight" if account.differences else "balanced")


def _counted(outlet: Outlet, zone: ZoneInfo) -> str:
    if outlet.since is None:
        return "since when it is bound is not recorded: `callstitch declare` begins to count"
    began = shown(outlet.since, zone)
    return f"bound {began}" if outlet.bound else f"bound before {began}, when counting began"


def _taken(outlet: Outlet) -> str:
    if outlet.taken is not None:
        return str(outlet.taken)
    return f"{outlet.least_taken} or more" if outlet.least_taken else "?"


def _waiting(outlet: Outlet) -> str:
    """What waits there, where that is not `held`: of messages nobody tells how many of the events sent they hold."""
    if outlet.held is not None or outlet.messages is None:
        return ""
    batches = f" batch(es) of up to {BATCH_EVENTS}"
    waits = f"{outlet.messages}{batches if outlet.batches else ' message(s)'} wait in it"
    feed = f"{outlet.feed}{batches} with its feed" if outlet.feed else ""
    return ", ".join(filter(None, [waits, feed, "and it is full" if outlet.full else ""]))
