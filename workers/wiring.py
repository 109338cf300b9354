"""The one file that knows everybody: it opens what the config names and hands each stage what it needs."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Final

from pydantic import TypeAdapter

from runtime.bench import Bench, StageSpec
from runtime.broker.base import Broker
from runtime.clock import Clock
from runtime.consume.answering import AnswerLoop
from runtime.consume.loop import StageLoop
from runtime.crash import crash_points
from runtime.poison import Trials
from runtime.telemetry import Telemetry
from runtime.verdict import policies
from schemas.envelope import JsonObject
from schemas.errors import Misconfigured
from schemas.platforms import DIALECTS
from schemas.settings.source import Source
from schemas.stage import Stage
from schemas.topology import BOXES, STAGES, StageRow, Subscription, Topology, sink_queue, topology
from workers.calls.step import Patience
from workers.config import Config
from workers.correlate import correlate
from workers.decide import decide
from workers.dedupe import dedupe
from workers.fan_out import Sink, fan_out
from workers.fetch_recording import open_fetch_recording
from workers.objects import make_runtime, open_objects
from workers.park import park
from workers.sinks import AnySink
from workers.stores import open_claims, open_parked, open_sessions

Loop = StageLoop | AnswerLoop
Command = Callable[[JsonObject], Awaitable[JsonObject]]
Wrap = Callable[[str, Stage], Stage]

_IDS: Final = TypeAdapter(list[str])


def unwrapped(_: str, stage: Stage) -> Stage:
    """The stage as it is; the demo's sabotage is the one other wrap."""
    return stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What all stages of one process share."""

    config: Config
    broker: Broker
    telemetry: Telemetry
    clock: Clock
    message_ids: Iterator[str]
    wrap: Wrap
    commands: dict[str, Command] = field(default_factory=dict)  # what the admin port can ask of this process
    trials: Trials = field(default_factory=Trials)  # stages of one process share its death


def config_topology(config: Config) -> Topology:
    """The topology that the config's sinks and downstream queues need."""
    sinks = [
        Subscription(queue=sink_queue(sink.name), events=sink.events, sources=sink.sources) for sink in config.sink
    ]
    queues = [
        Subscription(queue=queue.name, events=queue.events, sources=queue.sources, dead_letters=False)
        for queue in config.queue
    ]
    return topology([*sinks, *queues], [source.name for source in config.source])


def sources_of(config: Config) -> Mapping[str, Source]:
    """The configured sources by name."""
    return {source.name: source for source in config.source}


@asynccontextmanager
async def open_stage(process: Process, name: str, *, sink: str | None = None) -> AsyncIterator[Sequence[Loop]]:
    """The loops of one stage, its store, sink or object store open until the context ends.

    Raises:
        Misconfigured: no such sink, or a state file that another process owns.
    """
    async with AsyncExitStack() as stack:
        yield await OPENERS[name](process, stack, STAGES[name], sink)


def _spec(process: Process, row: StageRow, *, part: str | None = None, queue: str | None = None) -> StageSpec:
    """How a stage consumes; `part` names one of several that it reads: a sink or a box, with its queue."""
    return StageSpec(
        name=row.name if part is None else f"{row.name}.{part}",
        queue=queue or row.queue,
        policy=policies(process.config.retry)[row.name],
        prefetch=row.prefetch,
        most=row.most,
        at_once=row.at_once,
    )


def _loop(process: Process, spec: StageSpec, stage: Stage) -> StageLoop:
    return StageLoop(
        Bench(
            spec=spec,
            stage=process.wrap(spec.name, stage),
            broker=process.broker,
            clock=process.clock,
            message_ids=process.message_ids,
            metrics=process.telemetry.stage(spec.name),
            trials=process.trials,
            crash=crash_points(spec.name),
        )
    )


async def _dedupe(process: Process, stack: AsyncExitStack, row: StageRow, _: str | None) -> list[StageLoop]:
    store = await stack.enter_async_context(open_claims(process.config.store))
    items = process.telemetry.items
    stage = dedupe(
        store,
        sources=sources_of(process.config),
        dialects=DIALECTS,
        count=lambda source, result, number: items.labels(source, result).inc(number),
    )
    return [_loop(process, _spec(process, row), stage)]


async def _correlate(process: Process, stack: AsyncExitStack, row: StageRow, _: str | None) -> list[StageLoop]:
    store, clock = await stack.enter_async_context(open_sessions(process.config.store, clock=process.clock))

    async def purge(asked: JsonObject) -> JsonObject:
        calls, events = (_IDS.validate_python(asked[name]) for name in ("calls", "events"))
        return {"waiting": await store.purge(calls, events, clock())}

    process.commands["purge_calls"] = purge
    patience = {
        source.name: Patience(
            settle=source.settle,
            cdr_wait=source.cdr_wait,
            open_max=source.open_max,
            call_events=source.call_events and not DIALECTS[source.platform].whole_by_cdr,
        )
        for source in process.config.source
    }
    progress = frozenset(source.name for source in process.config.source if source.progress)
    stage = correlate(store, patience=patience, progress=progress, clock=clock, kept=process.config.retention)
    process = replace(process, clock=clock)
    return [_loop(process, _spec(process, row), stage)]


async def _fetch_recording(process: Process, stack: AsyncExitStack, row: StageRow, _: str | None) -> list[StageLoop]:
    spec = _spec(process, row)
    await make_runtime()
    handler = await stack.enter_async_context(
        open_fetch_recording(
            sources=process.config.source,
            dialects=DIALECTS,
            objects=open_objects(process.config.objects),
            last_attempt=spec.policy.last_attempt,
            clock=process.clock,
            nonce=lambda: secrets.token_hex(16),
        )
    )
    return [_loop(process, spec, Stage(handler))]


async def _fan_out(process: Process, stack: AsyncExitStack, row: StageRow, wanted: str | None) -> list[StageLoop]:
    chosen = [sink for sink in process.config.sink if wanted in (None, sink.name)]
    if wanted is not None and not chosen:
        raise Misconfigured(f"there is no [[sink]] named {wanted}")
    return [await _one_sink(process, stack, row, sink) for sink in chosen]


async def _one_sink(process: Process, stack: AsyncExitStack, row: StageRow, sink: AnySink) -> StageLoop:
    opened: Sink = await stack.enter_async_context(sink.open(process.clock))
    spec = _spec(process, row, part=sink.name, queue=sink_queue(sink.name))
    return _loop(process, spec, Stage(fan_out(opened, name=sink.name)))


async def _park(process: Process, stack: AsyncExitStack, row: StageRow, _: str | None) -> list[StageLoop]:
    store = await stack.enter_async_context(open_parked(process.config.store))

    async def want(asked: JsonObject) -> JsonObject:
        return {"wanted": await store.want(_IDS.validate_python(asked["ids"]))}

    async def purge(asked: JsonObject) -> JsonObject:
        return {"emptied": await store.purge(_IDS.validate_python(asked["ids"]))}

    process.commands.update(want=want, purge_parked=purge)
    outlets = frozenset(sink_queue(sink.name) for sink in process.config.sink)
    return [
        _loop(
            process,
            _spec(process, row, part=box, queue=queue),
            park(store, box=box, clock=process.clock, outlets=outlets, kept=process.config.retention),
        )
        for box, queue in BOXES.items()
    ]


async def _decide(process: Process, _stack: AsyncExitStack, row: StageRow, _: str | None) -> list[Loop]:
    """Questions expire within half a second, so a few in hand are enough."""
    return [
        AnswerLoop(
            stage=row,
            answer=decide(process.config.rule, {name: one.default for name, one in process.config.asking.items()}),
            broker=process.broker,
            metrics=process.telemetry.stage(row.name),
        )
    ]


OPENERS: Final[Mapping[str, Callable[[Process, AsyncExitStack, StageRow, str | None], Awaitable[Sequence[Loop]]]]] = {
    "dedupe": _dedupe,
    "correlate": _correlate,
    "fetch_recording": _fetch_recording,
    "fan_out": _fan_out,
    "park": _park,
    "decide": _decide,
}
