"""A place for the one thing that others wait for: a connection, a channel."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class Slot(Generic[T]):
    """Holds the current thing while there is one, and lets others wait for it."""

    def __init__(self) -> None:
        self.value: T | None = None
        self._filled = asyncio.Event()

    async def get(self) -> T:
        """The current thing, as soon as there is one."""
        while self.value is None:
            await self._filled.wait()
        return self.value

    @contextmanager
    def holding(self, value: T) -> Iterator[None]:
        """The thing is current for as long as the context is open."""
        self.value = value
        self._filled.set()
        try:
            yield
        finally:
            self.value = None
            self._filled.clear()
