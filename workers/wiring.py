"""The one file that knows everybody: it opens what the config names and hands each stage what it needs."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Final

from pydantic import TypeAdapter

from runtime.clock import Clock
from runtime.consume.answering import AnswerLoop
from runtime.consume.crew import Loop
from runtime.consume.current import Current
from runtime.consume.inner import inner, with_inner
from runtime.consume.loop import StageLoop
from runtime.events.forms import FormsNow, leased
from runtime.tasks import watched
from runtime.verdict import policies
from schemas.envelope import JsonObject
from schemas.platforms import DIALECTS
from schemas.settings.source import Source
from schemas.stage import Stage, StageRow
from schemas.topology import BOXES, feed_queue, sink_queue
from workers import counting
from workers.composed import composed
from workers.config import Config, DownstreamQueue, config_topology, outlet_queues, patience_of
from workers.correlate import correlate
from workers.decide import decide
from workers.dedupe import dedupe
from workers.delivery.feeds import Feeds
from workers.delivery.log import DeliveryLog
from workers.delivery.outlets import Outlets
from workers.delivery.states import SinkStates
from workers.fetch_recording import open_fetch_recording
from workers.objects import make_runtime, open_objects
from workers.park import park
from workers.process import ROLES, Commit, Process, bench_of, loop_of, renewed, spec_of
from workers.sinks import AnySink
from workers.stores import open_claims, open_forms, open_parked, open_sessions, open_sinks

BATCHES_AHEAD: Final = 64  # messages, each of up to 256 KiB
_IDS: Final = TypeAdapter(list[str])


def sources_of(config: Config) -> Mapping[str, Source]:
    """The configured sources by name."""
    return {source.name: source for source in config.source}


@asynccontextmanager
async def open_role(process: Process, name: str, *, part: str | None = None) -> AsyncIterator[Sequence[Loop]]:
    """The loops of one stage, of its one sink or queue, or of those that are composed; open until the context ends.

    Raises:
        Misconfigured: no such sink or queue, or a state file that another process owns.
    """
    async with AsyncExitStack() as stack:
        row, *onward = ROLES[name]
        if onward:
            yield await _composed(process, stack, row, *onward)
        else:
            yield await OPENERS[name](process, stack, row, part)


async def _composed(process: Process, stack: AsyncExitStack, one: StageRow, two: StageRow) -> list[StageLoop]:
    """Both in one process: the second also reads its own queue, for what others put there and what takes the hop."""
    first = process.wrap(one.name, await _dedupe_stage(process, stack, one))
    stage, clock, forms = await _correlate_stage(process, stack, two)
    second = process.wrap(two.name, stage)
    within = bench_of(replace(process, clock=clock), spec_of(process, two), second, forms)
    stage = composed(first, second, fold=inner(within, process.telemetry.stage(one.name)))
    around = bench_of(process, spec_of(process, one), stage, forms)
    return [StageLoop(with_inner(around, within)), StageLoop(within)]


async def _see_declared(process: Process, config: Config) -> None:
    if not process.whole:
        await process.broker.check(config_topology(config))


async def _dedupe_stage(process: Process, stack: AsyncExitStack, row: StageRow) -> Stage:
    store = await stack.enter_async_context(open_claims(process.config.store))
    process.looks[row.name] = lambda: store.look(process.clock())

    def make(config: Config) -> Stage:
        sources = sources_of(config)
        count = counting.items(process.telemetry, row.name, sources.keys())
        return dedupe(store, sources=sources, dialects=DIALECTS, count=count)

    return renewed(process, make)


async def _dedupe(process: Process, stack: AsyncExitStack, row: StageRow, _: str | None) -> list[StageLoop]:
    return [loop_of(process, spec_of(process, row), await _dedupe_stage(process, stack, row))]


async def _correlate_stage(process: Process, stack: AsyncExitStack, row: StageRow) -> tuple[Stage, Clock, FormsNow]:
    """With the clock that it goes by, and the forms in which its events leave."""
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

    return renewed(process, make), clock, leased(forms.forms)


async def _correlate(process: Process, stack: AsyncExitStack, row: StageRow, _: str | None) -> list[StageLoop]:
    stage, clock, forms = await _correlate_stage(process, stack, row)
    return [loop_of(replace(process, clock=clock), spec_of(process, row), stage, forms)]


async def _fetch_recording(process: Process, stack: AsyncExitStack, row: StageRow, _: str | None) -> list[StageLoop]:
    spec = spec_of(process, row)
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
    return [loop_of(process, spec, current.stage)]


async def _fan_out(process: Process, stack: AsyncExitStack, row: StageRow, wanted: str | None) -> list[StageLoop]:
    def serving(sink: AnySink, stage: Stage) -> StageLoop:
        spec = spec_of(process, row, part=sink.name, queue=sink_queue(sink.name))
        return loop_of(process, spec if sink.batch is False else replace(spec, prefetch=BATCHES_AHEAD), stage)

    store = await stack.enter_async_context(open_sinks(process.config.store))
    policy = policies(process.config.retry)[row.name]
    deliveries = DeliveryLog(store, process.clock, policy, process.config.retention.outbox)
    stack.push_async_callback(deliveries.close)
    states = SinkStates(store, process.clock, deliveries)
    await states.first_look()
    outlets = Outlets(
        clock=process.clock,
        crew=process.crew,
        states=states,
        loop_of=serving,
        count_of=counting.deliveries(process.telemetry, row.name),
        filtered_of=counting.filtered(process.telemetry, row.name),
        log=deliveries,
        see_declared=partial(_see_declared, process),
        wanted=wanted,
    )
    stack.push_async_callback(outlets.close)
    if process.config.broker.embedded:  # which has one owner; any command connects to RabbitMQ by itself
        process.commands["retry_sink"] = outlets.retry_now
    process.reloads.append(outlets.prepare)
    loops = await outlets.open(process.config.sink, stack)
    await stack.enter_async_context(watched(states.run(outlets.loops)))
    return loops


async def _feed(process: Process, _: AsyncExitStack, row: StageRow, wanted: str | None) -> list[StageLoop]:
    def feeding(queue: DownstreamQueue, stage: Stage) -> StageLoop:
        spec = spec_of(process, row, part=queue.name, queue=feed_queue(queue.name))
        return loop_of(process, replace(spec, prefetch=BATCHES_AHEAD, step=queue.step), stage)

    see_declared = partial(_see_declared, process)
    filtered_of = counting.filtered(process.telemetry, row.name)
    feeds = Feeds(crew=process.crew, loop_of=feeding, filtered_of=filtered_of, see_declared=see_declared, wanted=wanted)
    process.reloads.append(feeds.prepare)
    return feeds.open(process.config.queue)


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
        return park(store, box=box, clock=process.clock, outlets=outlet_queues(config), kept=config.retention)

    return [
        loop_of(process, spec_of(process, row, part=box, queue=queue), renewed(process, partial(make, box=box)), forms)
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
    "feed": _feed,
    "park": _park,
    "decide": _decide,
}
