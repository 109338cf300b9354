"""The truth file: JSON lines, each on disk before anyone goes on."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class TruthFile:
    """Lines are synced together when several wait: one fsync serves them all."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        self._lock = asyncio.Lock()
        self._open = threading.Lock()
        self._waiting: list[bytes] = []
        self._taken = 0
        self._synced = 0

    async def write(self, line: Mapping[str, Any]) -> None:
        """Return when the line is on disk."""
        if self._descriptor is None:
            return
        self._waiting.append(json.dumps(line).encode() + b"\n")
        self._taken += 1
        ticket = self._taken
        async with self._lock:
            if self._synced >= ticket:
                return
            lines, self._waiting = self._waiting, []
            await asyncio.to_thread(self._append, self._descriptor, b"".join(lines))
            self._synced += len(lines)

    def close(self) -> None:
        """Close the file, after a write that a cancelled play left behind in its thread."""
        with self._open:
            descriptor, self._descriptor = self._descriptor, None
            if descriptor is not None:
                os.close(descriptor)

    def _append(self, descriptor: int, lines: bytes) -> None:
        with self._open:
            if self._descriptor is None:  # closed before the thread came to it
                return
            view = memoryview(lines)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)


@contextmanager
def open_truth(path: Path | None) -> Iterator[TruthFile]:
    """A fresh file that only its owner may read, since it holds numbers; None keeps nothing."""
    if path is None:
        yield TruthFile(None)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    truth = TruthFile(descriptor)
    try:
        yield truth
    finally:
        truth.close()
