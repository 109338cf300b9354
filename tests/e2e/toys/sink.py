"""A toy sink, as a newcomer would begin one: each event is a file in a directory, named after the event.

test_toys.py puts it into a copy of the tree as `workers/sinks/toy.py`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from tempfile import mkstemp
from typing import ClassVar, Literal

from runtime.files import sync
from schemas.envelope import Envelope
from schemas.errors import Misconfigured, Permanent, Unavailable
from schemas.settings import Outlet


class Toy(Outlet):
    """Writes each event into a file `ID.json` below `path`; an event that comes again replaces itself."""

    one_process: ClassVar[bool] = False
    taken: ClassVar[str] = "written"

    kind: Literal["toy"]
    path: Path

    @asynccontextmanager
    async def open(self, _: Callable[[], datetime], /) -> AsyncIterator[OpenToy]:
        """The sink, its directory made.

        Raises:
            Misconfigured: there can be no such directory.
        """
        try:
            await asyncio.to_thread(self.path.mkdir, parents=True, exist_ok=True)
        except OSError as error:
            raise Misconfigured(f"cannot make {self.path}: {error.strerror}") from None
        yield OpenToy(self.path)


class OpenToy:
    """A sink (`workers.fan_out.Sink`)."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def write(self, batch: Sequence[Envelope]) -> Sequence[Exception | None]:
        """One file after the other, each safe on disk.

        Raises:
            Unavailable: the disk is full or broken.
        """
        try:
            return [await asyncio.to_thread(self._put, envelope) for envelope in batch]
        except OSError as error:
            raise Unavailable(f"cannot write: {error.strerror}") from None

    def _put(self, envelope: Envelope) -> Exception | None:
        if not isinstance(envelope.body, bytes) or b"\n" in envelope.body:
            return Permanent("event_is_not_one_line")
        descriptor, part = mkstemp(dir=self._directory, suffix=".part")
        with os.fdopen(descriptor, "wb") as file:
            file.write(envelope.body)
            file.flush()
            os.fsync(descriptor)
        Path(part).rename(self._directory / f"{envelope.id}.json")
        sync(self._directory)
        return None
