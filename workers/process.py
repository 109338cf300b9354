"""What the stages of one process share, and how one of them becomes a loop of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from runtime.bench import Bench, StageSpec
from runtime.broker.base import Broker
from runtime.clock import Clock
from runtime.consume.crew import Crew
from runtime.consume.current import Current
from runtime.consume.loop import StageLoop
from runtime.crash import crash_points
from runtime.events.forms import FormsNow, singly
from runtime.poison import Trials
from runtime.telemetry import Telemetry
from runtime.telemetry.look import Counts
from runtime.tracing.base import Tracing
from runtime.tracing.off import NO_TRACING
from runtime.verdict import policies
from schemas.envelope import JsonObject
from schemas.stage import Stage, StageRow
from schemas.topology import STAGES
from workers.config import Config

Commit = Callable[[], Awaitable[None]]
Prepare = Callable[[Config, AsyncExitStack], Awaitable[Commit]]  # the stack closes what is opened and not committed
Command = Callable[[JsonObject], Awaitable[JsonObject]]
Wrap = Callable[[str, Stage], Stage]

_COMPOSED: Final = "dedupe,correlate"
_OF_BOTH: Final = tuple(STAGES[name] for name in _COMPOSED.split(","))

# What one process of workers can play: a stage, or two that are composed, without the hop between them.
ROLES: Final[Mapping[str, tuple[StageRow, ...]]] = {
    **{row.name: (row,) for row in STAGES.values()},
    _COMPOSED: _OF_BOTH,
}
WHOLE: Final = (_COMPOSED, *(row.name for row in STAGES.values() if row not in _OF_BOTH))  # all stages, each once


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


def spec_of(process: Process, row: StageRow, *, part: str | None = None, queue: str | None = None) -> StageSpec:
    """How a stage consumes; `part` names one of several that it reads: a sink or a box, with its queue."""
    return StageSpec(
        name=row.name if part is None else f"{row.name}.{part}",
        queue=queue or row.queue,
        policy=policies(process.config.retry)[row.name],
        prefetch=row.prefetch,
        most=row.most,
        at_once=row.at_once,
    )


def renewed(process: Process, make: Callable[[Config], Stage]) -> Stage:
    """The stage that the config of now makes, whatever config comes."""
    current = Current(make(process.config))

    async def prepare(config: Config, _: AsyncExitStack) -> Commit:
        return partial(current.exchange, make(config))

    process.reloads.append(prepare)
    return current.stage


def bench_of(process: Process, spec: StageSpec, stage: Stage, forms: FormsNow = singly) -> Bench:
    """What a loop of that stage works with."""
    return Bench(
        spec=spec,
        stage=stage,
        broker=process.broker,
        clock=process.clock,
        message_ids=process.message_ids,
        metrics=process.telemetry.stage(spec.name),
        trials=process.trials,
        crash=crash_points(spec.name),
        tracing=process.tracing,
        forms=forms,
    )


def loop_of(process: Process, spec: StageSpec, stage: Stage, forms: FormsNow = singly) -> StageLoop:
    """The loop of a stage that stands alone."""
    return StageLoop(bench_of(process, spec, process.wrap(spec.name, stage), forms))
