"""A task that is cut off in the midst of a query ends, whatever the driver makes of that."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

from workers.stores.postgresql.pool import open_database

CUTS = 100  # one in five went on for ever
LONGEST = 0.004
ENDED_SECONDS = 10.0


async def test_who_only_looks_on_and_takes_errors_lightly_ends_when_it_is_told_to(postgres_dsn: str) -> None:
    """As the stages' own looks at their store do: one that went on kept its stage from closing."""
    drawn = random.Random(7)  # noqa: S311 - no secret
    failed = False
    async with open_database(postgres_dsn) as database:

        async def look() -> None:
            while not failed:
                with suppress(Exception):
                    await database.fetch("SELECT 1")

        await database.fetch("SELECT 1")
        for _ in range(CUTS):
            looking = asyncio.create_task(look())
            await asyncio.sleep(drawn.uniform(0, LONGEST))
            looking.cancel()
            done, _ = await asyncio.wait({looking}, timeout=ENDED_SECONDS)
            failed = not done
            assert not failed, "it goes on"
