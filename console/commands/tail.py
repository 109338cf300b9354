"""`callstitch tail`: what leaves, one line for each event of a call, live."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import orjson
import typer

from console.app import ConfigOption, NumbersOption, quietly
from console.config_file import load_config
from console.moments import DEFAULT_ZONE, ZoneOption
from console.screen import out, wrapped
from console.tail.line import how_of, line_of, short_type, source_of
from runtime.broker import open_listener
from schemas.envelope import JsonObject
from schemas.errors import Misconfigured
from schemas.topology import BATCHES, CALLS, EVENT_TYPES
from workers.config import Config, config_topology

commands = typer.Typer()

CALL_EVENTS: Final = ("call.completed", "call.incomplete", "call.amended")
_REMEMBERED: Final = 10_000  # ids of events that were shown: one may come alone and in a batch

Rows = Collection[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    types: frozenset[str]
    source: str | None
    outcome: str | None
    zone: ZoneInfo
    show_numbers: bool
    most: int | None


@commands.command()
def tail(
    *,
    config: ConfigOption = None,
    source: Annotated[str | None, typer.Option(help="Only of this source.")] = None,
    outcome: Annotated[str | None, typer.Option(help="Only calls that ended so, such as answered or busy.")] = None,
    events: Annotated[str, typer.Option(help="Which types, with commas between; `all`: every one.")] = ",".join(
        CALL_EVENTS
    ),
    count: Annotated[int | None, typer.Option(min=1, help="End after so many lines.")] = None,
    tz: ZoneOption = DEFAULT_ZONE,
    show_numbers: NumbersOption = False,
) -> None:
    """Print one line for each event of a call as it leaves, until interrupted; it takes nothing from anybody.

    It listens by a queue of its own on RabbitMQ, which goes with its connection, to what some outlet of the config
    wants: of all else it must not keep the dead-letter boxes from knowing that nobody wants it.
    """
    types = frozenset(EVENT_TYPES) if events == "all" else frozenset(events.split(","))
    if unknown := types - {*EVENT_TYPES}:
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: there is {', '.join(EVENT_TYPES)}")
    wanted = _Wanted(types=types, source=source, outcome=outcome, zone=tz, show_numbers=show_numbers, most=count)
    with quietly(), suppress(KeyboardInterrupt):
        loaded = load_config(config)
        if source is not None and source not in {one.name for one in loaded.source}:
            raise typer.BadParameter("there is no [[source]] of that name", param_hint="--source")
        rows = _rows(loaded, wanted)
        out.print(wrapped(f"listening, times in {tz}; end with Ctrl-C"))
        asyncio.run(_shown(loaded, rows, wanted))


def _rows(config: Config, wanted: _Wanted) -> Rows:
    """The bindings of the config's outlets that bring what is wanted.

    Only these: an event that no outlet wants goes where nobody's events are kept, and a binding of ours would keep it
    from there.
    """
    bindings = [one for one in config_topology(config).bindings if one.exchange in {CALLS, BATCHES}]
    rows = {(one.exchange, one.pattern) for one in bindings if one.pattern.rpartition(".")[0] in wanted.types}
    if not rows:
        raise Misconfigured(
            "no sink and no [[queue]] of the config wants an event of these types: nothing to listen to"
        )
    return sorted(rows)


async def _shown(config: Config, rows: Rows, wanted: _Wanted) -> None:
    left = wanted.most
    known: OrderedDict[str, None] = OrderedDict()
    async with open_listener(config.broker, rows) as bodies:
        async for body in bodies:
            for event in _events_in(body):
                if event["id"] in known or not _is_wanted(event, wanted):
                    continue
                known[event["id"]] = None
                if len(known) > _REMEMBERED:
                    known.popitem(last=False)
                out.print(line_of(event, wanted.zone, show_numbers=wanted.show_numbers))
                if left is not None and (left := left - 1) == 0:
                    return


def _events_in(body: bytes) -> list[Any]:
    """Those of a message, in either form; none of one that is not ours, as anybody may publish there."""
    try:
        told: Any = orjson.loads(body)
    except ValueError:
        return []
    return [one for one in (told if isinstance(told, list) else [told]) if isinstance(one, dict) and "data" in one]


def _is_wanted(event: JsonObject, wanted: _Wanted) -> bool:
    return (
        short_type(event) in wanted.types
        and wanted.source in (None, source_of(event))
        and wanted.outcome in (None, how_of(event))
    )
