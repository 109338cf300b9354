"""A stage within another: its handler takes what the other passes on, told of in metrics and traces as ever."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from runtime.bench import Bench
from runtime.consume.age import oldest_age
from runtime.crash import CrashPoint
from runtime.telemetry.stage import StageMetrics
from schemas.envelope import Envelope
from schemas.stage import Failed, Handler, Outcome

_SETTLED_TOGETHER: Final = frozenset({"after_publish", "after_mark", "after_ack"})


def inner(within: Bench, outer: StageMetrics) -> Handler:
    """The handler of `within`, told of as a batch of that stage, with its input as the output of the outer one.

    Its outputs, the ack and so the end of its batch are the outer one's affair.
    """

    async def handled(batch: Sequence[Envelope]) -> Outcome:
        metrics = within.metrics
        taken = metrics.took(len(batch), oldest_age(batch[:1], within.clock()))
        try:
            with within.tracing.handling(within.spec.name, batch) as told:
                within.crash("before_handle", told.work)
                started = time.perf_counter()
                outcome = await within.stage.handle(told.work)
                within.crash("after_handle", told.work)
                told.handled(outcome)
            metrics.handled(len(batch), time.perf_counter() - started)
            failed = [item.envelope for item in outcome if isinstance(item, Failed)]
            outer.produced([one for one in told.work if one not in failed] if failed else batch)
            metrics.settled(taken)
            return outcome
        finally:
            metrics.left(taken)

    return handled


def with_inner(around: Bench, within: Bench) -> Bench:
    """The outer bench, which publishes and marks for both: the outputs of the inner stage count as its own."""
    around.metrics.publishes_for(within.metrics)
    return replace(around, crash=_either(around.crash, within.crash))


def _either(around: CrashPoint, within: CrashPoint) -> CrashPoint:
    def reach(point: str, envelopes: Sequence[Envelope]) -> None:
        around(point, envelopes)
        if point in _SETTLED_TOGETHER:
            within(point, envelopes)

    return reach
