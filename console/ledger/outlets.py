"""The ledger of each outlet, a sink or a downstream queue: sent since it was bound, held, dead, taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from console.moments import in_json
from runtime.events.batch import BATCH_EVENTS
from schemas.envelope import JsonObject
from schemas.topology import EDGE, feed_queue
from workers.config import Config, DownstreamQueue, Outgoing
from workers.stores.declared import Since
from workers.stores.reads import Reads

# These leave no row: their bytes are a pure function of their fact (but for a number state without a time).
AT_ONCE: Final = ("call.progress", "call.decided", "number.changed", "platform.notified")
_OF_NO_SESSION: Final = frozenset({"number.changed", "platform.notified"})
_ROOM: Final = 0.8  # RabbitMQ takes again what it refused once a queue is below that part of its `max_length`


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlet:
    """A queue that events leave by; `sent`: those that it wants, since it was bound (`since`), of seven days at most.

    `filtered`: what an event says decides whether it wants it, which no row tells: `sent` is None, and `offered` those
    of its types and sources, of which it wants some; for others both are the same.
    `bound` is False where it was bound earlier, before that was recorded; then `since` is only when counting began, and
    None where nothing is recorded at all. `uncounted`: types that it wants, of which some may have been told, and that
    leave no row to count. `messages` wait in it, None when the broker does not tell; `batches`: each holds several
    events; of a `stream` that is what was read too. `feed`: messages that wait with the feed of a `fed` one, batches
    always; `full`: it has no room, so that its feed has some in hand too.
    """

    queue: str
    offered: int
    messages: int | None
    dead: int
    batches: bool = False
    since: str | None = None
    bound: bool = False
    uncounted: tuple[str, ...] = ()
    stream: bool = False
    fed: bool = False
    feed: int = 0
    full: bool = False
    filtered: bool = False

    @property
    def figures(self) -> JsonObject:
        """What follows from the rest."""
        return {"sent": self.sent, "held": self.held, "taken": self.taken, "least_taken": self.least_taken}

    @property
    def sent(self) -> int | None:
        """How many were sent to it; None where that cannot be told."""
        return None if self.filtered else self.offered

    @property
    def held(self) -> int | None:
        """How many of `sent` wait; None where that cannot be told, as of messages that may hold what is not counted."""
        if self.messages is None or self.feed or self.full or self.stream:
            return None
        if self.messages and (self.uncounted or self.batches or self.messages > self.offered):
            return None
        return self.messages

    @property
    def taken(self) -> int | None:
        """What is neither held nor dead, where that is known of the same events."""
        if not self.bound or self.stream or self.sent is None or self.held is None or (self.dead and self.uncounted):
            return None
        rest = self.sent - self.held - self.dead
        return rest if rest >= 0 else None

    @property
    def least_taken(self) -> int | None:
        """How many it has taken for certain, if all that may wait or be dead were of those that are counted."""
        if not self.bound or self.stream or self.full or self.sent is None or self.messages is None:
            return None
        waiting = self.messages * (BATCH_EVENTS if self.batches else 1) + self.feed * BATCH_EVENTS
        return max(self.sent - waiting - self.dead, 0)


async def told_of(
    outlets: Mapping[str, Outgoing],
    reads: Reads,
    depths: Mapping[str, int] | None,
    since: Mapping[str, Since],
    config: Config,
) -> list[Outlet]:
    """One for each outlet of the config; `depths` of their queues and feeds, None where the broker does not tell."""
    dead: Counter[str] = Counter()
    for parked in await reads.books.parked():
        if parked.box == "dead" and parked.state != "replayed":
            dead[parked.stage.removeprefix(EDGE)] += parked.items if parked.stage.startswith(EDGE) else parked.count
    sent: dict[int, dict[str, int]] = {}
    for row in {0, *(one.row for one in since.values())}:
        sent[row] = {route: counts["sent"] for route, counts in (await reads.events(row)).items()}
    told = await _told_at_once(config, reads)
    found: list[Outlet] = []
    for name, one in outlets.items():
        began = since.get(name)
        counts = sent[began.row if began else 0]
        queue = one if isinstance(one, DownstreamQueue) else None
        messages = None if depths is None else depths.get(name, 0)
        outlet = Outlet(
            queue=name,
            offered=sum(count for route, count in counts.items() if _wants(one, route)),
            messages=messages,
            dead=dead[name] + dead[feed_queue(name)],
            batches=bool(one.batch),
            since=in_json(began.at) if began else None,
            bound=began is not None and began.bound,
            uncounted=tuple(event for event in AT_ONCE if event in one.events and _may_be(event, one, told)),
            stream=queue is not None and queue.stream,
            fed=queue is not None and queue.fed,
            feed=(depths or {}).get(feed_queue(name), 0) if queue is not None and queue.fed else 0,
            full=bool(queue and queue.max_length and messages and messages >= _ROOM * queue.max_length),
            filtered=one.filtered,
        )
        found.append(outlet)
    return found


def _wants(one: Outgoing, route: str) -> bool:
    event, _, source = route.rpartition(".")
    return event in one.events and event not in AT_ONCE and (not one.sources or source in one.sources)


async def _told_at_once(config: Config, reads: Reads) -> Mapping[str, Sequence[str]]:
    """By type the sources that tell any, as far as config and claims say so."""
    every = [source.name for source in config.source]
    others = every if await reads.books.told_at_once() else []
    return {
        "call.progress": [source.name for source in config.source if source.progress],
        "call.decided": [*config.asking],
        **dict.fromkeys(_OF_NO_SESSION, others),
    }


def _may_be(event: str, one: Outgoing, told: Mapping[str, Sequence[str]]) -> bool:
    return any(not one.sources or source in one.sources for source in told[event])
