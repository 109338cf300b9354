"""Downstream queues that drop what their consumers reject, because they were there before they had dead letters.

Nothing of a team's queue is changed: whoever runs the broker sets the policy that is told here, for that queue alone.
"""

from __future__ import annotations

import structlog

from runtime.broker.base import Broker
from workers.config import Config, config_topology

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
    for queue, command in (await broker.lossy(config_topology(config))).items():
        lines += [f"queue {queue} has no dead letters: what its consumers reject is gone; this policy adds them to it"]
        lines += [Verbatim(f"  {command}")]
    return lines


async def log_of(config: Config, broker: Broker) -> None:
    """The same for who reads a log.

    Raises:
        Unavailable: the broker is away.
    """
    for queue, command in (await broker.lossy(config_topology(config))).items():
        log.warning("queue.without_dead_letters", queue=queue, policy=command)
