"""`callstitch drain`: the doors closed, the pipeline empty, the ledger reckoned, and all held until `--end`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from console.app import EXIT_DIFFERENCE, ConfigOption, quietly
from console.commands.hold import ByOption, WhyOption, who
from console.config_file import load_config
from console.draining.drain import Drain, words_of
from console.draining.ways import ways_of
from console.ledger.account import totals
from console.ledger.table import sentence
from console.moments import DEFAULT_ZONE, ZoneOption
from console.reading import Account, ask_store, reckon
from console.screen import complain, out, wrapped
from console.stations.resting import let_go
from console.stations.switchboard import open_switchboard, word_of
from runtime.hold.word import Word
from schemas.topology import BOXES, HOLDABLE, INGEST
from workers.config import Config
from workers.stores.reads import ParkedReads

commands = typer.Typer()

DRAIN_SECONDS: Final = 900.0
QUIET_SECONDS: Final = 1.0
EXIT_INTERRUPTED: Final = 130  # 128 and SIGINT, as a shell tells it


@commands.command()
def drain(
    config: ConfigOption = None,
    by: ByOption = None,
    why: WhyOption = "drain",
    timeout: Annotated[float, typer.Option(min=0, help="Seconds to wait, after which it is given up.")] = DRAIN_SECONDS,
    tz: ZoneOption = DEFAULT_ZONE,
    *,
    own: Annotated[bool, typer.Option("--own", help="Do not wait for the queues that other teams consume.")] = False,
    end: Annotated[bool, typer.Option("--end", help="Let all go on that a drain holds.")] = False,
) -> None:
    """Close the doors, wait until nothing is under way, hold all stages and reckon the ledger.

    Ends with 0 once all is empty, balanced and held; with 1 where it is not, and 130 at Ctrl-C: what is held is told.
    """
    with quietly():
        loaded = load_config(config)
        if end:
            return asyncio.run(_end(loaded))
        _drain(loaded, word_of(by or who(), why, drain=True), timeout, own=own)
        out.print(wrapped(f"nothing is under way; {_still((INGEST, *HOLDABLE))}"))
        account = asyncio.run(_account(loaded))
        _tell_what_stays(loaded, account)
    for difference in account.differences:
        out.print(sentence(difference, tz))
    if not account.tallied:
        out.print(wrapped("no door has told what it answered: the ledger cannot be compared"))
    if account.differences or not account.tallied:
        raise typer.Exit(EXIT_DIFFERENCE)
    out.print("drained, and the ledger is balanced")
    return None


def _drain(config: Config, word: Word, seconds: float, *, own: bool) -> None:
    held: list[str] = []

    async def run() -> None:
        async with open_switchboard(config) as board:
            ways, quiet = ways_of(config, own=own), QUIET_SECONDS + _settle(config)
            draining = Drain(board, word, ways, quiet=quiet, seconds=seconds, tell=_tell)
            nonlocal held
            held = draining.held
            await draining.run()

    try:
        asyncio.run(run())
    except KeyboardInterrupt:
        complain(f"callstitch: interrupted; {_still(held)}")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except BaseException:
        complain(f"callstitch: not drained; {_still(held)}")
        raise


def _settle(config: Config) -> float:
    """For so long a call that is whole waits for what may be missing, and is in no queue."""
    return max((source.settle.total_seconds() for source in config.source), default=0.0)


def _tell(text: str) -> None:
    out.print(wrapped(text))


def _still(held: Sequence[str]) -> str:
    if not held:
        return "nothing is held"
    return f"held: {', '.join(held)}; `callstitch drain --end` lets them go on"


async def _account(config: Config) -> Account:
    return (await reckon(config, since=None, until=None, source=None, now=datetime.now(UTC))).masked


def _tell_what_stays(config: Config, account: Account) -> None:
    async def counts(reads: ParkedReads) -> list[str]:
        found = {box: await reads.parked_groups(box) for box in BOXES}
        return [f"{sum(group['count'] for group in groups)} {box}" for box, groups in found.items()]

    parked = ask_store(config.store, counts)
    out.print(wrapped(f"in the store there stay {totals(account.rows)['open']} open call(s), {', '.join(parked)}"))


async def _end(config: Config) -> None:
    async with open_switchboard(config) as board:
        stands = await words_of(board)
        drained = [stand.name for stand in stands if stand.word and stand.word.drain]
        for stand in stands:
            if stand.word and not stand.word.drain:
                out.print(wrapped(f"{stand.name} stays held {stand.word}: `callstitch hold {stand.name} --end`"))
        await let_go(board, drained, tell=out.print)
    out.print(wrapped(f"{', '.join(drained)}: go on within 2 s" if drained else "no drain holds anything"))
