"""What one stage works with, as one value: the loop, the way of a batch, the ticks and the settling share it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from runtime.broker.base import Broker
from runtime.clock import Clock
from runtime.crash import CrashPoint, never
from runtime.events.forms import FormsNow, singly
from runtime.poison import Trials
from runtime.telemetry.stage import StageMetrics
from runtime.tracing.base import Tracing
from runtime.tracing.off import NO_TRACING
from runtime.verdict import Policy
from schemas.stage import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSpec:
    """How a stage consumes: `prefetch` messages, at most `most` a batch, and `at_once` batches at the same time.

    Twice as many are prefetched as are worked on, so that the next batch is there when one is settled. A commit and a
    confirm cost the same for one message as for many: so a batch that is not full is followed by the next only
    PACE_SECONDS (in `consumer`) after it began, and a message that comes when nothing else does waits for nothing.
    `step`: how many messages at once it puts into a queue that it feeds.
    """

    name: str
    queue: str
    policy: Policy
    prefetch: int = 32
    most: int = 16
    at_once: int = 1
    step: int = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A stage, how it consumes, and what it is given to work with.

    `message_ids` are unique per publish. `forms` tells in which events go out. `trials` is shared by all stages of a
    process, as its death is.
    """

    spec: StageSpec
    stage: Stage
    broker: Broker
    clock: Clock
    message_ids: Iterator[str]
    metrics: StageMetrics
    trials: Trials = field(default_factory=Trials)
    crash: CrashPoint = never
    tracing: Tracing = NO_TRACING
    forms: FormsNow = singly
