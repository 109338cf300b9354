"""received -> calls, recordings, quarantine: dedupe and correlate in one process, without the hop between them.

The same handlers on the same stores: claims are committed, then sessions, revisions and the outbox, then all is
published. A death in between brings the notification again, whose claims are answered `mine`. What cannot be folded
here takes the hop after all, so that it is retried, cornered and buried where it fails: as a fact, which the ledger
counts, and not as a notification whose other facts would be lost with it. What was delivered before takes it too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import orjson

from schemas.envelope import Envelope, Kind
from schemas.errors import Unavailable
from schemas.stage import Failed, Handler, Outcome, Stage

FOLDED_BYTES: Final = 1024 * 1024  # of facts in one transaction, as where they come from a queue


def composed(first: Stage, second: Stage, *, fold: Handler) -> Stage:
    """The stage that reads the queue of `first`; `fold` is the handler of `second`, as somebody looks on."""

    async def handle(batch: Sequence[Envelope]) -> Outcome:
        outcome: list[Envelope | Failed] = []
        facts: list[Envelope] = []
        for item in await first.handle(batch):
            if isinstance(item, Envelope) and item.kind == Kind.FACT:
                facts.append(item)
            else:
                outcome.append(item)
        for some in _slices(facts):
            outcome += await _folded(fold, some)
        return outcome

    return Stage(handle, first.tick, second.published, careful=first.handle)


async def _folded(fold: Handler, facts: Sequence[Envelope]) -> Outcome:
    """What follows from these facts, or the facts themselves, to be handled where they are retried."""
    try:
        outcome = await fold([_as_delivered(fact) for fact in facts])
    except Unavailable:
        raise
    except Exception:  # noqa: BLE001 - whatever it is: it is raised again there, and judged, fact by fact
        return facts
    return [item.envelope if isinstance(item, Failed) else item for item in outcome]


def _as_delivered(fact: Envelope) -> Envelope:
    """What a queue would have handed over."""
    return replace(fact, body=orjson.loads(fact.body)) if isinstance(fact.body, bytes) else fact


def _slices(facts: Sequence[Envelope]) -> Iterator[Sequence[Envelope]]:
    start, size = 0, 0
    for n, fact in enumerate(facts):
        size += len(fact.body) if isinstance(fact.body, bytes) else 0
        if size >= FOLDED_BYTES:
            yield facts[start : n + 1]
            start, size = n + 1, 0
    if facts[start:]:
        yield facts[start:]
