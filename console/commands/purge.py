"""`callstitch purge`: erase one person or one call from what Callstitch keeps."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Annotated

import typer

from console.app import EXIT_DIFFERENCE, ConfigOption, NumbersOption, quietly
from console.config_file import load_config
from console.purging import Erased, Found, Means, erase, find, of_call, of_number
from console.reading import ask_store
from console.screen import complain, out, wrapped
from schemas.masking import masked_id
from workers.config import Config
from workers.stores.reads import CallReads

commands = typer.Typer()


@commands.command()
def purge(
    config: ConfigOption = None,
    number: Annotated[str | None, typer.Option(help="Whatever holds this number, in any spelling.")] = None,
    call: Annotated[str | None, typer.Option(metavar="ID", help="This call or SMS.")] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what there is.")] = False,
    show_numbers: NumbersOption = False,
) -> None:
    """Erase one person or one call from the state; exit code 1: something of it is under way and has to wait."""
    if (number is None) == (call is None):
        raise typer.BadParameter("give either --number or --call")
    with quietly():
        loaded = load_config(config)
        found = asyncio.run(find(loaded, _means(loaded, number, call)))
        erased = None if dry_run or found.nothing else asyncio.run(erase(loaded, found))
    _tell(found, erased, show_numbers=show_numbers)
    _tell_what_is_out_of_reach(loaded)
    if erased is not None and erased.waiting:
        raise typer.Exit(EXIT_DIFFERENCE)


def _means(config: Config, number: str | None, call: str | None) -> Means:
    if number is not None:
        try:
            return of_number(number)
        except ValueError:
            raise typer.BadParameter("a number has 7 digits at least") from None
    return of_call(ask_store(config.store, partial(_whole_id, call=call or "")))


async def _whole_id(reads: CallReads, *, call: str) -> str:
    """The id of the one call that ends so, as in `trace`; a whole one that is known no more is taken as it is."""
    ending = await reads.calls(call) if call else []
    if call in ending:
        return call
    if not ending:
        source, _, session = call.partition(":")
        if not source or not session:
            raise typer.BadParameter("no call ends so: give the whole id, <source>:<id>")
        return call
    if len(ending) > 1:
        raise typer.BadParameter("several calls end so; give the whole id")
    return ending[0]


def _tell(found: Found, erased: Erased | None, *, show_numbers: bool) -> None:
    if found.nothing:
        out.print("nothing of it is kept")
        return
    if erased is None:
        _count("would be erased", len(found.calls), len(found.events), len(found.parked))
        for call_id in sorted(found.calls):
            out.print(wrapped(call_id if show_numbers else masked_id(call_id), indent="  "))
    else:
        _count("erased", erased.calls, erased.events, erased.parked)
    for call_id, why in (found.waiting if erased is None else erased.waiting).items():
        shown = call_id if show_numbers else masked_id(call_id)
        complain(wrapped(f"callstitch: not yet: {shown}: {why}"))
    places = [place for of_call in found.places.values() for place in of_call]
    if erased is None and places:
        out.print(f"and {len(places)} recording(s) in the object store:")
        for place in places:
            out.print(wrapped(place, indent="  "))
    elif erased is not None and places:
        out.print(f"deleted {erased.recordings} recording(s) in the object store")
        for place in erased.absent:
            complain(wrapped(f"callstitch: not there: {place}"))


def _tell_what_is_out_of_reach(config: Config) -> None:
    """By name, since each has an owner who has to be asked."""
    sinks = [f"sink {sink.name} ({sink.kind})" for sink in config.sink]
    queues = [f"queue {queue.name}" for queue in config.queue]
    out.print(wrapped(f"not reached: what left already ({', '.join([*sinks, *queues]) or 'to nobody'}),"))
    out.print(wrapped("what is on its way in the broker, recordings of calls that were forgotten, and backups:"))
    out.print("see docs/personal-data.md")


def _count(what: str, calls: int, events: int, parked: int) -> None:
    out.print(f"{what}: {calls} call(s), {events} other event(s), {parked} parked message(s)")
