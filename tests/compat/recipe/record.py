"""Records `run.ndjson.xz`: what this tree makes of the recorded pushes.

python -m tests.compat.recipe.record
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from tests.compat.recorded import CONFIG, RUN, read_pushes, write_rows
from tests.compat.run import played

START: Final = datetime(2026, 11, 21, 8, 0, 0, 250_000, tzinfo=UTC)
SIZES: Final = (1, 1, 2, 3, 5, 13)


def main() -> None:
    rows = asyncio.run(_recorded())
    write_rows(RUN, rows)
    sys.stdout.write(f"{len(rows)} rows, {RUN.stat().st_size} bytes\n")


async def _recorded() -> list[dict[str, Any]]:
    pushes = read_pushes()
    with tempfile.TemporaryDirectory() as directory:
        return [row async for row in played(CONFIG, pushes, list(_script(len(pushes))), Path(directory), [])]


def _script(pushes: int) -> Iterator[dict[str, Any]]:
    """Most pushes as they came; then some again in any order; then those that were held back; deadlines in between."""
    rng = random.Random(5)  # noqa: S311 - an order, not a secret
    now = START
    numbers = list(range(pushes))
    late = sorted(rng.sample(numbers, pushes // 7))
    again = rng.sample(numbers, pushes // 4)
    for told, batch in enumerate(_batches(rng, [number for number in numbers if number not in late]), 1):
        now += timedelta(milliseconds=rng.randrange(20, 900))
        yield {"do": "push", "at": now.isoformat(), "pushes": batch}
        yield from _aside(rng, now, told)
    for wait in ({"seconds": 5}, {"seconds": 70}, {"minutes": 11}):
        now += timedelta(**wait)
        yield {"do": "tick", "at": now.isoformat()}
    yield {"do": "recordings", "at": now.isoformat(), "ends": ["failed", "stored"]}
    for batch in _batches(rng, again):
        now += timedelta(milliseconds=rng.randrange(20, 900))
        earlier = rng.choice([0, 0, 1000])
        yield {"do": "push", "at": now.isoformat(), "pushes": batch, "earlier": earlier}
    now += timedelta(hours=25)
    yield {"do": "tick", "at": now.isoformat()}
    rng.shuffle(late)
    for batch in _batches(rng, late):
        now += timedelta(milliseconds=rng.randrange(20, 900))
        yield {"do": "push", "at": now.isoformat(), "pushes": batch}
    for wait in ({"seconds": 10}, {"hours": 1}, {"hours": 25}):
        now += timedelta(**wait)
        yield {"do": "tick", "at": now.isoformat()}
    yield {"do": "recordings", "at": now.isoformat(), "ends": ["stored"]}


def _aside(rng: random.Random, now: datetime, told: int) -> Iterator[dict[str, Any]]:
    """What happens besides: a bundle that comes again, a second that ticks, recordings that end."""
    at = now.isoformat()
    if told % 6 == 0:
        yield {"do": "tick", "at": at}
    if told % 10 == 0:
        yield {"do": "again", "at": at, "of": rng.randrange(told)}
    if told % 15 == 0:
        yield {"do": "unique again", "at": at, "of": rng.randrange(told)}
    if told % 25 == 0:
        yield {"do": "recordings", "at": at, "ends": ["stored", "failed", "stored"]}


def _batches(rng: random.Random, numbers: Sequence[int]) -> Iterator[list[int]]:
    left = list(numbers)
    while left:
        size = rng.choice(SIZES)
        yield left[:size]
        left = left[size:]


if __name__ == "__main__":
    main()
