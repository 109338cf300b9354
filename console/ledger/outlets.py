"""The ledger of each outlet, a sink or a downstream queue: sent since it was bound, held, dead, taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from console.moments import in_json
from schemas.topology import EDGE
from workers.config import DownstreamQueue, Outgoing
from workers.stores.declared import Since
from workers.stores.reads import Reads

# These leave no row: their bytes are a pure function of their fact (but for a number state without a time).
AT_ONCE: Final = ("call.progress", "call.decided", "number.changed", "platform.notified")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlet:
    """A queue that events leave by; `sent`: those that it wants, since it was bound (`since`), of seven days at most.

    `filtered`: what an event says decides whether it wants it, which no row tells: `sent` is None, and `offered` those
    of its types and sources, of which it wants some; for others both are the same.
    `bound` is False where it was bound earlier, before that was recorded; then `since` is only when counting began, and
    None where nothing is recorded at all. `uncounted`: types that it wants and that leave no row to count. `held` is
    None when the broker does not tell; it counts messages, which are events only where there are no `batches`, and of a
    `stream` what was read too; what waits for a `fed` one with its feed is not in it. `taken` is the rest, with what
    consumers have in hand and retry tiers hold; None where that cannot be told.
    """

    queue: str
    offered: int
    held: int | None
    dead: int
    batches: bool = False
    since: str | None = None
    bound: bool = False
    uncounted: tuple[str, ...] = ()
    stream: bool = False
    fed: bool = False
    filtered: bool = False

    @property
    def sent(self) -> int | None:
        """How many were sent to it; None where that cannot be told."""
        return None if self.filtered else self.offered

    @property
    def taken(self) -> int | None:
        """What is neither held nor dead, where both sides count the same events, or nothing is held or dead."""
        if self.sent is None or self.held is None or not self.bound or self.stream or self.fed:
            return None
        if (self.uncounted and (self.held or self.dead)) or (self.batches and self.held):
            return None
        rest = self.sent - self.held - self.dead
        return rest if rest >= 0 else None


async def told_of(
    outlets: Mapping[str, Outgoing], reads: Reads, depths: Mapping[str, int] | None, since: Mapping[str, Since]
) -> list[Outlet]:
    """One for each outlet; `depths` of their queues, None where the broker does not tell."""
    dead: Counter[str] = Counter()
    for parked in await reads.books.parked():
        if parked.box == "dead" and parked.state != "replayed":
            dead[parked.stage.removeprefix(EDGE)] += parked.items if parked.stage.startswith(EDGE) else parked.count
    sent: dict[int, dict[str, int]] = {}
    for row in {0, *(one.row for one in since.values())}:
        sent[row] = {route: counts["sent"] for route, counts in (await reads.events(row)).items()}
    found: list[Outlet] = []
    for name, one in outlets.items():
        began = since.get(name)
        counts = sent[began.row if began else 0]
        outlet = Outlet(
            queue=name,
            offered=sum(count for route, count in counts.items() if _wants(one, route)),
            held=None if depths is None else depths.get(name, 0),
            dead=dead[name],
            batches=bool(one.batch),
            since=in_json(began.at) if began else None,
            bound=began is not None and began.bound,
            uncounted=tuple(event for event in AT_ONCE if event in one.events),
            stream=isinstance(one, DownstreamQueue) and one.stream,
            fed=isinstance(one, DownstreamQueue) and one.fed,
            filtered=one.filtered,
        )
        found.append(outlet)
    return found


def _wants(one: Outgoing, route: str) -> bool:
    event, _, source = route.rpartition(".")
    return event in one.events and event not in AT_ONCE and (not one.sources or source in one.sources)
