"""A stage: what a worker is to the runtime. It holds no channel: it cannot publish, ack, retry or sleep."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from schemas.envelope import Envelope


@dataclass(frozen=True, slots=True)
class Failed:
    """One envelope of a batch that could not be done, and why; the rest of its batch is done."""

    envelope: Envelope
    error: Exception


Outcome = Sequence[Envelope | Failed]
Handler = Callable[[Sequence[Envelope]], Awaitable[Outcome]]
Tick = Callable[[datetime], Awaitable[Sequence[Envelope]]]
Published = Callable[[Sequence[str]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Stage:
    """`handle` takes a batch and returns what follows from it. An exception means the whole batch.

    `tick(now)` runs every second and returns envelopes too (deadlines, unsent outbox rows).
    `published(ids)` runs after the confirms and before the ack, with the ids of what was published.
    `careful`, where there is one, handles a batch of which something was delivered before: it may have killed.
    """

    handle: Handler
    tick: Tick | None = None
    published: Published | None = None
    careful: Handler | None = None
