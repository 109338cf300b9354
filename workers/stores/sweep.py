"""How much a sweep takes at once: so many rows at most, and no more bytes than a process holds easily."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

SWEEP_BYTES: Final = 8 * 1024 * 1024  # a row may be megabytes, and some 500 are asked for

T = TypeVar("T")


def within(rows: Iterable[T], size: Callable[[T], int], room: int = SWEEP_BYTES) -> list[T]:
    """The first rows that are so many bytes together, at least one; reads no further."""
    taken: list[T] = []
    for row in rows:
        taken.append(row)
        room -= size(row)
        if room <= 0:
            break
    return taken


def in_steps(rows: Iterable[T], size: Callable[[T], int], room: int = SWEEP_BYTES) -> Iterator[list[T]]:
    """All of them, as `within` takes them."""
    left = list(rows)
    while left:
        yield (some := within(left, size, room))
        del left[: len(some)]
