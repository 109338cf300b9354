"""What the workers count of their own, as metrics: each series is there from the start."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import get_args

from runtime.telemetry import Telemetry
from schemas.vocabulary import RecordingEnd
from workers import dedupe, fan_out, fetch_recording
from workers.stores.looks import LOOKED


def items(telemetry: Telemetry, stage: str, sources: Collection[str]) -> dedupe.Count:
    """What became of items."""
    counter, line = telemetry.items, telemetry.stage(stage).line
    for name in sources:
        for known in dedupe.RESULTS:
            counter.labels(name, known)

    def count(source: str, result: str, number: int) -> None:
        counter.labels(source, result).inc(number)
        line.add(**{f"items_{result}": number})

    return count


def sessions(telemetry: Telemetry) -> None:
    """What is open, before the first look at it."""
    for name in LOOKED:
        telemetry.tell(name, 0)


def recordings(telemetry: Telemetry, sources: Collection[str]) -> fetch_recording.Count:
    """What was asked for, and how it ended."""
    counter = telemetry.recordings
    for name in sources:
        for known in (fetch_recording.WANTED, *get_args(RecordingEnd)):
            counter.labels(name, known)
    return lambda source, state: counter.labels(source, state).inc()


def deliveries(telemetry: Telemetry, stage: str) -> Callable[[str], fan_out.Count]:
    """What a sink took and refused, by its name."""

    def of(sink: str) -> fan_out.Count:
        delivered, failed = telemetry.delivered.labels(sink), telemetry.failed.labels(sink)
        line = telemetry.stage(f"{stage}.{sink}").line

        def count(written: int, refused: int) -> None:
            delivered.inc(written)
            failed.inc(refused)
            line.add(delivered=written, failed=refused)

        return count

    return of
