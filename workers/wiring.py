"""The one file that knows everybody: it opens what the config names and hands each stage what it needs."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from pydantic import TypeAdapter

from runtime.bench import Bench, StageSpec
from runtime.broker.base import Broker
from runtime.clock import Clock
from runtime.consume.answering import AnswerLoop
from runtime.consume.crew import Crew, Loop
from runtime.consume.current import Current
from runtime.consume.loop import StageLoop
from runtime.crash import crash_points
from runtime.events.forms import FormsNow, leased, singly
from runtime.poison import Trials
from runtime.tasks import watched
from runtime.telemetry import Telemetry
from runtime.telemetry.look import Counts
from runtime.tracing.base import Tracing
from runtime.tracing.off import NO_TRACING
from runtime.verdict import policies
from schemas.envelope import JsonObject
from schemas.platforms import DIALECTS
from schemas.settings.source import Source
from schemas.stage import Stage
from schemas.topology import BOXES, STAGES, StageRow, sink_queue
from workers import counting
from workers.config import Config, config_topology, patience_of
from workers.correlate import correlate
from workers.decide import decide
from workers.dedupe import dedupe
from workers.fetch_recording import open_fetch_recording
from workers.objects import make_runtime, open_objects
from workers.outlets import Outlets
from workers.park import park
from workers.sink_states import SinkStates
from workers.sinks import AnySink
from workers.stores import open_claims, open_forms, open_parked, open_sessions, open_sinks

Commit = Callable[[], Awaitable[None]]
Prepare = Callable[[Config, AsyncExitStack], Awaitable[Commit]]  # the stack closes what is opened and not committed
Command = Callable[[JsonObject], Awaitable[JsonObject]]
Wrap = Callable[[str, Stage], Stage]

BATCHES_AHEAD: Final = 64  # messages, each of up to 256 KiB
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
    whole: bool = False  # it plays all roles (`up`), so it declares, and answers questions only where it has rules
    commands: dict[str, Command] = field(default_factory=dict)  # what the admin port can ask of this process
    reloads: list[Prepare] = field(default_factory=list)  # how its parts take another config
    crew: Crew = field(default_factory=Crew)
    trials: Trials = field(default_factory=Trials)  # stages of one process share its death
    looks: dict[str, Counts] = field(default_factory=dict)  # what metrics tell of the stores of its stages
    tracing: Tracing = NO_TRACING


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


def _renewed(process: Process, make: Callable[[Config], Stage]) -> Stage:
    """The stage that the config of now makes, whatever config comes."""
    current = Current(make(process.config))

    async def prepare(config: Config, _: AsyncExitStack) -> Commit:
        return partial(current.exchange, make(config))

    process.reloads.append(prepare)
    return current.stage


def _loop(process: Process, spec: StageSpec, stage: Stage, forms: FormsNow = singly) -> StageLoop:
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
            tracing=process.tracing,
            forms=forms,
        )
    )


async def _dedupe(process: Process, stack: AsyncExitStack, row: StageRow, _: str | None) -> list[StageLoop]:
    store = await stack.enter_async_context(open_claims(process.config.store))
    process.looks[row.name] = lambda: store.look(process.clock())

    def make(config: Config) -> Stage:
        sources = sources_of(config)
        count = counting.items(process.telemetry, row.name, sources.keys())
        return dedupe(store, sources=sources, dialects=DIALECTS, count=count)

    return [_loop(process, _spec(process, row), _renewed(process, make))]


async def _correlate(process: Process, stack: AsyncExitStack, row: StageRow, _: str | None) -> list[StageLoop]:
    store, clock = await stack.enter_async_context(open_sessions(process.config.store, clock=process.clock))
    forms = await stack.enter_async_context(open_forms(process.config.store))

    async def purge(asked: JsonObject) -> JsonObject:
        calls, events = (_IDS.validate_python(asked[name]) for name in ("calls", "events"))
        return {"waiting": await store.purge(calls, events, clock())}

    process.commands["purge_calls"] = purge
    process.looks[row.name] = lambda: store.look(clock())
    counting.sessions(process.telemetry)

    def make(config: Config) -> Stage:
        process.telemetry.stage(row.name).counts_events(sources_of(config).keys())
        progress = frozenset(source.name for source in config.source if source.progress)
        return correlate(store, patience=patience_of(config), progress=progress, clock=clock, kept=config.retention)

    stage = _renewed(process, make)
    process = replace(process, clock=clock)
    return [_loop(process, _spec(process, row), stage, leased(forms.forms))]


async def _fetch_recording(process: Process, stack: AsyncExitStack, row: StageRow, _: str | None) -> list[StageLoop]:
    spec = _spec(process, row)
    await make_runtime()
    objects = open_objects(process.config.objects)

    async def open_with(config: Config, stack: AsyncExitStack) -> tuple[Stage, AsyncExitStack]:
        opening = open_fetch_recording(
            sources=config.source,
            dialects=DIALECTS,
            objects=objects,
            last_attempt=spec.policy.last_attempt,
            clock=process.clock,
            nonce=lambda: secrets.token_hex(16),
        )
        own = await stack.enter_async_context(AsyncExitStack())
        handler = await own.enter_async_context(opening)
        return Stage(counting.recordings(process.telemetry, sources_of(config).keys(), handler)), own

    current = Current(*await open_with(process.config, stack))
    stack.push_async_callback(current.close)

    async def prepare(config: Config, stack: AsyncExitStack) -> Commit:
        return partial(current.exchange, *await open_with(config, stack))

    process.reloads.append(prepare)
    return [_loop(process, spec, current.stage)]


async def _fan_out(process: Process, stack: AsyncExitStack, row: StageRow, wanted: str | None) -> list[StageLoop]:
    def loop_of(sink: AnySink, stage: Stage) -> StageLoop:
        spec = _spec(process, row, part=sink.name, queue=sink_queue(sink.name))
        return _loop(process, spec if sink.batch is False else replace(spec, prefetch=BATCHES_AHEAD), stage)

    states = SinkStates(await stack.enter_async_context(open_sinks(process.config.store)), process.clock)
    await states.first_look()
    outlets = Outlets(
        clock=process.clock,
        crew=process.crew,
        states=states,
        loop_of=loop_of,
        count_of=counting.deliveries(process.telemetry, row.name),
        wanted=wanted,
    )
    stack.push_async_callback(outlets.close)
    if process.config.broker.embedded:  # which has one owner; any command connects to RabbitMQ by itself
        process.commands["retry_sink"] = outlets.retry_now

    async def prepare(config: Config, stack: AsyncExitStack) -> Commit:
        if outlets.new_among(config.sink) and not process.whole:
            await process.broker.check(config_topology(config))
        return await outlets.prepare(config.sink, stack)

    process.reloads.append(prepare)
    loops = await outlets.open(process.config.sink, stack)
    await stack.enter_async_context(watched(states.run(outlets.loops)))
    return loops


async def _park(process: Process, stack: AsyncExitStack, row: StageRow, _: str | None) -> list[StageLoop]:
    store = await stack.enter_async_context(open_parked(process.config.store))
    forms = leased((await stack.enter_async_context(open_forms(process.config.store))).forms)

    async def want(asked: JsonObject) -> JsonObject:
        return {"wanted": await store.want(_IDS.validate_python(asked["ids"]))}

    async def purge(asked: JsonObject) -> JsonObject:
        return {"emptied": await store.purge(_IDS.validate_python(asked["ids"]))}

    process.looks[row.name] = lambda: store.look(process.clock())
    process.commands.update(want=want, purge_parked=purge)

    def make(config: Config, box: str) -> Stage:
        outlets = frozenset(sink_queue(sink.name) for sink in config.sink)
        return park(store, box=box, clock=process.clock, outlets=outlets, kept=config.retention)

    return [
        _loop(process, _spec(process, row, part=box, queue=queue), _renewed(process, partial(make, box=box)), forms)
        for box, queue in BOXES.items()
    ]


async def _decide(process: Process, _stack: AsyncExitStack, row: StageRow, _: str | None) -> list[Loop]:
    """Questions expire within half a second, so a few in hand are enough.

    Where another service may answer, as `up` has no rules, there is no loop: both at once would share the questions.
    """

    def answers(config: Config) -> Callable[[bytes], bytes | None]:
        return decide(config.rule, {name: one.default for name, one in config.asking.items()})

    def wanted(config: Config) -> bool:
        return bool(config.rule) or not process.whole

    loop = AnswerLoop(
        stage=row,
        answer=answers(process.config),
        broker=process.broker,
        metrics=process.telemetry.stage(row.name),
    )

    async def prepare(config: Config, _: AsyncExitStack) -> Commit:
        answer = answers(config)

        async def commit() -> None:
            loop.answer_by(answer)
            if loop in process.crew.loops and not wanted(config):
                await process.crew.send_away(loop)
            elif loop not in process.crew.loops and wanted(config):
                process.crew.add([loop])

        return commit

    process.reloads.append(prepare)
    return [loop] if wanted(process.config) else []


OPENERS: Final[Mapping[str, Callable[[Process, AsyncExitStack, StageRow, str | None], Awaitable[Sequence[Loop]]]]] = {
    "dedupe": _dedupe,
    "correlate": _correlate,
    "fetch_recording": _fetch_recording,
    "fan_out": _fan_out,
    "park": _park,
    "decide": _decide,
}
