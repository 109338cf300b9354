"""A stage: what a worker is to the runtime. It holds no channel: it cannot publish, ack, retry or sleep."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from schemas.envelope import Envelope


@dataclass(frozen=True, slots=True)
class Failed:
    """One envelope of a batch that could not be done, and why; the rest of its batch is done."""

    envelope: Envelope
    error: Exception


Form = Literal["structured", "batch", "binary"]


@dataclass(slots=True, kw_only=True)
class Fed(Envelope):
    """An event made of one envelope of a batch for one downstream queue, which takes it in that form.

    What that queue has no room for goes back to the stage's own, as the envelope that it was; no attempt is counted.
    """

    of: Envelope
    queue: str
    form: Form


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


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRow:
    """One stage: all that is known of it by name, but for its file and its opener in `workers.wiring`.

    `reads`: its queues, each with the kinds of envelope that are routed to it; none: it has a queue of each of the
    config's tables that `parts` names: its sinks, or the downstream queues that it feeds.
    `writes`: the kinds that its handler and its tick bring.
    `delays`: the tiers it retries in by default; none: it retries nothing. `prefetch`, `most`, `at_once`: how it
    consumes (`runtime.bench.StageSpec`). `dead_letters`: what circles in its queues ends among the dead letters.
    `owns_state`: it keeps what the ledger counts, and in a directory of SQLite files one process owns that.
    `answers`: it replies to questions and stores nothing, and a service of yours may do so in its place.
    """

    name: str
    reads: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    parts: Literal["", "sink", "queue"] = ""
    writes: tuple[str, ...] = ()
    delays: tuple[str, ...] = ()
    prefetch: int = 32
    most: int = 16
    at_once: int = 1
    dead_letters: bool = True
    owns_state: bool = False
    answers: bool = False

    @property
    def queue(self) -> str:
        """The one queue of a stage that has one."""
        (queue,) = self.reads
        return queue
