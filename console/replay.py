"""Bringing parked messages back: read what is chosen, tell the owner of the state, and its park stage does the rest.

Copy, then mark, never a destructive read: a message stays listed, as `wanted`, until what it became is
confirmed by the broker; one with nothing inside that could go back is parked again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from console.admin_access import asking_owner
from console.reading import ask_store
from workers.config import Config
from workers.stores import open_parked

AT_ONCE: Final = 5000


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What an operator chose of one box: an id or a group's signature, a time, or everything."""

    box: str
    wanted: str | None = None
    everything: bool = False
    since: datetime | None = None
    until: datetime | None = None


def chosen(config: Config, choice: Choice) -> Sequence[str]:
    """The ids of a choice."""
    return ask_store(
        config.store,
        lambda reads: reads.parked_ids(choice.box, wanted=choice.wanted, since=choice.since, until=choice.until),
    )


def bring_back(config: Config, ids: Sequence[str]) -> int:
    """Mark them as wanted, at the owner of the state; how many were still parked.

    Raises:
        Unavailable: nobody runs the park stage on this state.
    """
    return asyncio.run(_bring_back(config, ids))


async def _bring_back(config: Config, ids: Sequence[str]) -> int:
    groups = [ids[start : start + AT_ONCE] for start in range(0, len(ids), AT_ONCE)]
    directory = config.store.directory
    if directory is None:
        async with open_parked(config.store) as store:
            return sum([await store.want(group) for group in groups])
    async with asking_owner(config, directory) as ask:
        return sum([(await ask("want", {"ids": group}, who="the park stage"))["wanted"] for group in groups])
