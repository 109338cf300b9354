"""What the workers count of their own, as metrics: each series is there from the start."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, get_args

import orjson

from runtime.telemetry import Telemetry
from schemas.envelope import Envelope
from schemas.stage import Handler, Outcome
from schemas.vocabulary import RecordingEnd
from workers import dedupe, fan_out
from workers.stores.looks import LOOKED

_WANTED: Final = "wanted"


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


def recordings(telemetry: Telemetry, sources: Collection[str], handler: Handler) -> Handler:
    """The handler, with what was asked for counted, and how it ended."""
    counter = telemetry.recordings
    for name in sources:
        for known in (_WANTED, *get_args(RecordingEnd)):
            counter.labels(name, known)

    async def counted(batch: Sequence[Envelope]) -> Outcome:
        outcome = await handler(batch)
        for envelope in batch:
            if envelope.attempt == 1 and envelope.source in sources:
                counter.labels(envelope.source, _WANTED).inc()
        for ended in outcome:
            if isinstance(ended, Envelope):
                counter.labels(ended.source, _state_of(ended)).inc()
        return outcome

    return counted


def _state_of(fact: Envelope) -> RecordingEnd:
    row: Any = orjson.loads(fact.body) if isinstance(fact.body, bytes) else fact.body
    state: RecordingEnd = row["body"]["state"]
    return state


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


def filtered(telemetry: Telemetry, stage: str) -> Callable[[str], Callable[[int], None]]:
    """What an outlet does not want, by its name."""
    return lambda outlet: telemetry.stage(f"{stage}.{outlet}").filtered
