"""Downstream queues that drop what their consumers reject, because they were there before they had dead letters.

Nothing of a team's queue is changed: whoever runs the broker sets the policy that is told here, for that queue alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from runtime.broker.base import Broker
from schemas.errors import CallstitchError
from schemas.topology import edge_stage
from workers.config import Config, config_topology
from workers.stores import open_reads

log = structlog.get_logger()


class Verbatim(str):
    """A line to copy, which is never broken."""

    __slots__ = ()


async def told_of(config: Config, broker: Broker) -> list[str]:
    """Two lines for each: what it is, and the command that mends it.

    Raises:
        Unavailable: the broker is away.
    """
    lines: list[str] = []
    for queue, command in (await _lossy(config, broker)).items():
        lines += [f"queue {queue} has no dead letters: what its consumers reject is gone, unless this policy is set"]
        lines += [Verbatim(f"  {command}")]
    return lines


async def log_of(config: Config, broker: Broker) -> None:
    """The same for who reads a log.

    Raises:
        Unavailable: the broker is away.
    """
    for queue, command in (await _lossy(config, broker)).items():
        log.warning("queue.without_dead_letters", queue=queue, policy=command)


async def _lossy(config: Config, broker: Broker) -> Mapping[str, str]:
    """AMQP tells of no policy: that one works is known from the first dead letter that came of it."""
    found = await broker.lossy(config_topology(config))
    proven = await _died(config) if found else frozenset()
    return {queue: command for queue, command in found.items() if edge_stage(queue) not in proven}


async def _died(config: Config) -> frozenset[str]:
    """The stages of all that was ever parked; none where nobody tells."""
    try:
        async with open_reads(config.store) as reads:
            return frozenset(parked.stage for parked in await reads.books.parked())
    except CallstitchError:
        return frozenset()
