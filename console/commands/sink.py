"""The operator's commands on sinks: status, pause, resume, retry, test."""

from __future__ import annotations

import asyncio
import getpass
import socket
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeVar
from uuid import uuid4
from zoneinfo import ZoneInfo

import orjson
import typer

from console.admin_access import asking_owner
from console.app import EXIT_DIFFERENCE, ConfigOption, quietly
from console.config_file import load_config
from console.fake.scenarios import example_of
from console.moments import DEFAULT_ZONE, ZoneOption, in_json, shown
from console.reading import queue_depths
from console.screen import out, say_json, wrapped
from runtime.broker import open_broker
from runtime.consume.retry_now import retry_now
from runtime.wire import monotonic_message_ids
from schemas.errors import Misconfigured
from schemas.topology import EVENT_TYPES, sink_queue
from workers.config import Config
from workers.sinks import AnySink
from workers.sinks.trial import SOURCE, Trial, disguised_event, trial_event, try_out
from workers.stores import open_sinks
from workers.stores.sinks import SinkState, SinkStore

commands = typer.Typer()
sink_commands = typer.Typer(help="See, pause, resume, retry and test sinks.", no_args_is_help=True)
commands.add_typer(sink_commands, name="sink")

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A sink of the config.")]
NOTICED_SECONDS: Final = 2  # a process looks once a second

T = TypeVar("T")


@sink_commands.command()
def status(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Only this sink.")] = None,
    config: ConfigOption = None,
    tz: ZoneOption = DEFAULT_ZONE,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, with times in UTC.")] = False,
) -> None:
    """Print of each sink whether it rests, how many messages wait in its queue, and how its last batch ended."""
    with quietly():
        loaded = load_config(config)
        names = [_known(loaded, name)] if name else [sink.name for sink in loaded.sink]
        states = asyncio.run(_asked(loaded, lambda store: store.sinks()))
        depths = asyncio.run(queue_depths(loaded, [sink_queue(one) for one in names]))
    rows = [(one, states.get(one, SinkState()), _held(depths, one)) for one in names]
    if json:
        say_json([_as_json(*row) for row in rows])
        return
    out.print(f"{len(rows)} sink(s); times in {tz}")
    for one, state, held in rows:
        waiting = "nobody tells what its queue holds" if held is None else f"{held} message(s) wait in its queue"
        out.print(wrapped(f"{one}: {_rest(state, tz)}, {waiting}"))
        if state.outcome:
            out.print(wrapped(f"last batch {shown(state.outcome_at, tz)}: {state.outcome}", indent="  "))


@sink_commands.command()
def pause(
    name: NameArgument,
    config: ConfigOption = None,
    by: Annotated[str | None, typer.Option(help="Who says so; else the user and the host.")] = None,
) -> None:
    """Let a sink rest, in all processes and over restarts: its queue keeps what comes."""

    async def ask(store: SinkStore) -> bool:
        return await store.pause(name, by=by or _who(), now=datetime.now(UTC))

    with quietly():
        loaded = load_config(config)
        _known(loaded, name)
        news = asyncio.run(_asked(loaded, ask))
    if news:
        out.print(wrapped(f"{name} rests within {NOTICED_SECONDS} s, once what is under way has ended"))
    else:
        out.print(f"{name} rests already")


@sink_commands.command()
def resume(name: NameArgument, config: ConfigOption = None) -> None:
    """Let a sink go on, also where its endpoint answered 410: 5 events a second at first, twice as many every 5 s."""
    with quietly():
        loaded = load_config(config)
        _known(loaded, name)
        asyncio.run(_asked(loaded, lambda store: store.resume(name, now=datetime.now(UTC))))
    out.print(f"{name} goes on within {NOTICED_SECONDS} s")


@sink_commands.command()
def retry(name: NameArgument, config: ConfigOption = None) -> None:
    """Have what failed at a sink and waits for its next attempt tried now; each such attempt counts."""
    with quietly():
        loaded = load_config(config)
        _known(loaded, name)
        went = asyncio.run(_retried(loaded, name))
    if went:
        out.print(wrapped(f"{went} message(s) went from the delay tiers to the queue of {name}"))
    else:
        out.print(f"nothing waits in a delay tier for {name}")


@sink_commands.command(name="test")
def try_it(
    name: NameArgument,
    config: ConfigOption = None,
    like: Annotated[
        str | None,
        typer.Option(
            "--as", metavar="TYPE", help="As an event of this type, such as call.completed, with `test`: true."
        ),
    ] = None,
) -> None:
    """Give a sink one event that is marked as a test, and say what came of it; a file is only looked at.

    It is a sink.test, which holds a whole example; with --as it is that example of any type itself, made up and marked.
    Exit code 1 where it was not taken.
    """
    if like is not None and like not in EVENT_TYPES:
        raise typer.BadParameter(f"there is {', '.join(EVENT_TYPES)}", param_hint="--as")
    with quietly():
        loaded = load_config(config)
        _known(loaded, name)
        (sink,) = [one for one in loaded.sink if one.name == name]
        trial = asyncio.run(_tried(sink, like))
    if trial.milliseconds is None:
        out.print(f"{name} could be written; nothing was written")
        return
    out.print(wrapped(f"{name}: {sink.manner}, event {trial.event_id}"))
    verdict = f"not taken: {trial.refusal}" if trial.refusal else "taken"
    out.print(wrapped(f"{verdict}, after {trial.milliseconds:.0f} ms"))
    if trial.refusal:
        raise typer.Exit(EXIT_DIFFERENCE)


async def _tried(sink: AnySink, like: str | None) -> Trial:
    """What is made up is sent as this sink would see it, with its numbers masked where theirs are."""
    event_id, now = str(uuid4()), datetime.now(UTC)
    example = await example_of(like or "call.completed", source=SOURCE)
    event = disguised_event(example, event_id=event_id, now=now)
    event = sink.view(event) if sink.view else event
    if like is None:
        assert isinstance(event.body, bytes)
        event = trial_event(sink.name, event_id=event_id, now=now, example=orjson.loads(event.body))
    return await try_out(sink, event)


def _known(config: Config, name: str) -> str:
    if name not in {sink.name for sink in config.sink}:
        raise typer.BadParameter("there is no [[sink]] of that name", param_hint="NAME")
    return name


async def _asked(config: Config, question: Callable[[SinkStore], Awaitable[T]]) -> T:
    async with open_sinks(config.store) as store:
        return await question(store)


async def _retried(config: Config, name: str) -> int:
    """Through whoever owns the embedded broker; RabbitMQ takes anybody."""
    if not config.broker.embedded:
        async with open_broker(config.broker) as broker:
            return await retry_now(broker, sink_queue(name), monotonic_message_ids(uuid4().hex[:12]))
    directory = config.store.directory
    if directory is None:
        raise Misconfigured("the owner of the embedded broker is asked through a state directory, and there is none")
    async with asking_owner(config, directory) as ask:
        return int((await ask("retry_sink", {"sink": name}, who="the sinks"))["went"])


def _who() -> str:
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):  # a container's uid has no name
        return socket.gethostname()


def _held(depths: Mapping[str, int] | None, name: str) -> int | None:
    return None if depths is None else depths.get(sink_queue(name), 0)


def _rest(state: SinkState, zone: ZoneInfo) -> str:
    if state.paused_at is None and state.away_at is not None:
        return f"its far end is away since {shown(state.away_at, zone)}, and one event at a time probes it"
    if state.paused_at is None:
        return "runs"
    return f"paused by {state.paused_by} since {shown(state.paused_at, zone)}"


def _as_json(name: str, state: SinkState, held: int | None) -> dict[str, Any]:
    return {
        "sink": name,
        "paused": state.paused_at is not None,
        "paused_at": in_json(state.paused_at),
        "paused_by": state.paused_by or None,
        "away": state.away_at is not None,
        "away_at": in_json(state.away_at),
        "held": held,
        "outcome": state.outcome or None,
        "outcome_at": in_json(state.outcome_at),
    }
