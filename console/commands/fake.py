"""`callstitch fake`: the events of made-up calls, without a pipeline, for whoever tests a consumer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection
from typing import Annotated, Final

import typer

from console.app import quietly
from console.fake.publish import publish
from console.fake.scenarios import SCENARIOS, events_of
from console.screen import aligned, out, say_bytes
from schemas.envelope import Envelope
from schemas.settings.addresses import BrokerAddress, broker_address
from schemas.topology import DEFAULT_EVENTS, EVENT_TYPES

commands = typer.Typer()

LIST: Final = "list"
NAME: Final = re.compile(r"[a-z0-9-]{1,40}")


@commands.command()
def fake(
    *,
    to: Annotated[
        str | None,
        typer.Option(metavar="URL", help="RabbitMQ, amqp://...; without it the events are printed, one a line."),
    ] = None,
    queue: Annotated[str | None, typer.Option(help="The queue there that gets them, and nobody else.")] = None,
    scenario: Annotated[str, typer.Option(help="Which, with commas between; `list` names them.")] = "",
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same bytes.")] = 1,
    source: Annotated[str, typer.Option(help="The source that they name.")] = "fake",
    events: Annotated[str, typer.Option(help="Only these types, as in a [[queue]].")] = ",".join(DEFAULT_EVENTS),
    batch: Annotated[bool, typer.Option("--batch", help="In batches, as for a [[queue]] with batch = true.")] = False,
    declare: Annotated[bool, typer.Option("--declare", help="Make the queue, as `callstitch declare` would.")] = False,
) -> None:
    """Send the events of made-up calls to one queue, without a pipeline, or print them, one a line.

    They are made by the code that makes real ones, and are the same for the same seed.
    """
    if scenario == LIST:
        for line in aligned([(name, one.words) for name, one in SCENARIOS.items()], indent=""):
            out.print(line)
        return
    names = _each(scenario, SCENARIOS, "--scenario") or [*SCENARIOS]
    types = frozenset(_each(events, EVENT_TYPES, "--events"))
    if not NAME.fullmatch(source):
        raise typer.BadParameter("a name of a source is a-z, 0-9 and -, up to 40", param_hint="--source")
    address = _address(to, queue)
    told = asyncio.run(_told(names, seed=seed, source=source, types=types))
    if address is None or queue is None:
        for event in told:
            assert isinstance(event.body, bytes)
            say_bytes(event.body)
        return
    with quietly():
        asyncio.run(publish(told, address, queue, form="batch" if batch else "structured", declared=declare))
    out.print(f"{len(told)} event(s) of {len(names)} scenario(s), seed {seed}, to the queue {queue}")


def _each(text: str, allowed: Collection[str], option: str) -> list[str]:
    """Its words; each must be an allowed one."""
    words = [word for part in text.split(",") if (word := part.strip())]
    if unknown := [word for word in words if word not in allowed]:
        raise typer.BadParameter(f"{', '.join(unknown)}: there is {', '.join(allowed)}", param_hint=option)
    return words


def _address(to: str | None, queue: str | None) -> BrokerAddress | None:
    if (to is None) != (queue is None):
        raise typer.BadParameter("--to and --queue go together", param_hint="--to")
    if to is None:
        return None
    try:
        address = broker_address(to)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--to") from None
    if address.embedded:
        raise typer.BadParameter("no client reads the embedded broker: it takes RabbitMQ", param_hint="--to")
    return address


async def _told(names: Collection[str], *, seed: int, source: str, types: Collection[str]) -> list[Envelope]:
    made = [event for name in names for event in await events_of(name, seed=seed, source=source)]
    return [event for event in made if event.route.rpartition(".")[0] in types]
