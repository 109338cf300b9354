"""Where work may be under way: the queues that a drain has to see empty."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from console.stations.switchboard import Waiting
from schemas.topology import DECISIONS, RETRY_DELAYS, SWITCH_QUEUES, Queue, retry_queue
from workers.config import Config, config_topology

TIERS: frozenset[str] = frozenset(retry_queue(delay) for delay in RETRY_DELAYS)


def ways_of(config: Config, *, own: bool) -> list[str]:
    """All that messages pass through, delay tiers too; `own`: without the queues that other teams consume.

    A stream is never empty, and a question is answered or has expired within half a second.
    """
    return [queue.name for queue in config_topology(config).queues if _passed(queue, own=own)]


def _passed(queue: Queue, *, own: bool) -> bool:
    if queue.name == DECISIONS or queue.name in SWITCH_QUEUES.values():
        return False
    return not queue.stream and not (own and queue.downstream)


def full_of(seen: Mapping[str, Waiting]) -> dict[str, Waiting]:
    """Those that hold something."""
    return {name: waiting for name, waiting in seen.items() if waiting.messages}


def told(full: Mapping[str, Waiting]) -> str:
    """What these hold, and where nobody takes it."""
    return ", ".join(_parts(full))


def _parts(full: Mapping[str, Waiting]) -> Iterator[str]:
    for name, waiting in full.items():
        nobody = "" if waiting.readers or name in TIERS else " (nobody consumes it)"
        yield f"{name} {waiting.messages}{nobody}"
