"""`callstitch reconcile`: the ledger as a table, or as JSON."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Final

import orjson
import typer
from rich.console import Console
from rich.table import Table

from console.app import EXIT_DIFFERENCE, ConfigOption, quietly
from console.config_file import load_config
from console.ledger.table import COLUMNS, cells
from console.reading import Account, reckon
from console.screen import out, print_table

LEDGER_WIDTH: Final = 150  # narrower, its equations would break over lines

commands = typer.Typer()


@commands.command()
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
        reckoning = reckon(loaded, since=since, until=until, source=source, now=now, fact_by_fact=fact_by_fact)
        account = asyncio.run(reckoning)
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
    print_table(["events leave by", "sent (7 days)", "held", "dead"], outlets)
    if account.queues is None:
        out.print("the broker does not tell what its queues hold")
    for difference in account.differences:
        out.print(str(difference), markup=False)
    if account.balanced:
        out.print("balanced, but for what is in flight" if account.differences else "balanced")


def _known(count: int | None) -> str:
    return "?" if count is None else str(count)
