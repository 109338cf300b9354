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

import aiohttp
import orjson

from console.admin_access import read_token
from console.reading import ask_store
from schemas.errors import Unavailable
from workers.config import Config
from workers.stores import open_parked

ASK_SECONDS: Final = 30.0
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
    token = read_token(directory)
    headers = {"Authorization": f"Bearer {token}"}
    timeout = aiohttp.ClientTimeout(total=ASK_SECONDS)
    try:
        async with aiohttp.ClientSession(f"http://{config.ingest.admin}", headers=headers, timeout=timeout) as session:
            return sum([await _ask(session, group) for group in groups])
    except (aiohttp.ClientError, TimeoutError):
        raise Unavailable(f"no process with the park stage answers on {config.ingest.admin}") from None


async def _ask(session: aiohttp.ClientSession, ids: Sequence[str]) -> int:
    async with session.post("/commands/want", data=orjson.dumps({"ids": ids})) as answer:
        if answer.status != 200:  # noqa: PLR2004 - OK
            raise Unavailable(f"the owner of the state answered {answer.status}; is it running the park stage?")
        return int(orjson.loads(await answer.read())["wanted"])
