"""Bringing parked messages back: read what is chosen, tell the owner of the state, and its park stage does the rest.

Copy, then mark, never a destructive read: a message stays listed until what it became is confirmed by the broker.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import aiohttp
import orjson

from console.reading import open_reads
from schemas.errors import Unavailable
from workers.config import Config
from workers.stores import open_parked

TOKEN_FILE: Final = "admin.token"  # noqa: S105 - the name of a file
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


def chosen(config: Config, choice: Choice) -> list[str]:
    """The ids of a choice."""
    reads = open_reads(config)
    return reads.parked_ids(choice.box, wanted=choice.wanted, since=choice.since, until=choice.until)


def bring_back(config: Config, ids: list[str]) -> int:
    """Mark them as wanted, at the owner of the state; how many were still parked.

    Raises:
        Unavailable: nobody runs the park stage on this state.
    """
    return asyncio.run(_bring_back(config, ids))


async def _bring_back(config: Config, ids: list[str]) -> int:
    groups = [ids[start : start + AT_ONCE] for start in range(0, len(ids), AT_ONCE)]
    directory = config.store.directory
    if directory is None:
        async with open_parked(config.store) as store:
            return sum([await store.want(group) for group in groups])
    token = _read_token(directory)
    headers = {"Authorization": f"Bearer {token}"}
    timeout = aiohttp.ClientTimeout(total=ASK_SECONDS)
    try:
        async with aiohttp.ClientSession(f"http://{config.ingest.admin}", headers=headers, timeout=timeout) as session:
            return sum([await _ask(session, group) for group in groups])
    except (aiohttp.ClientError, TimeoutError):
        raise Unavailable(f"no process with the park stage answers on {config.ingest.admin}") from None


async def _ask(session: aiohttp.ClientSession, ids: list[str]) -> int:
    async with session.post("/commands/want", data=orjson.dumps({"ids": ids})) as answer:
        if answer.status != 200:  # noqa: PLR2004 - OK
            raise Unavailable(f"the owner of the state answered {answer.status}; does it run the park stage?")
        return int(orjson.loads(await answer.read())["wanted"])


def admin_token(config: Config) -> str | None:
    """The token of the admin port's commands, made once and readable by our own user only."""
    directory = config.store.directory
    if directory is None:
        return None
    path = directory / TOKEN_FILE
    if not path.exists():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32))
    return path.read_text()


def _read_token(directory: Path) -> str:
    try:
        return (directory / TOKEN_FILE).read_text()
    except OSError as error:
        raise Unavailable(f"cannot read {directory / TOKEN_FILE}: {error.strerror}; does park run here?") from None
