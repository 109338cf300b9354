"""A file with one event a line; lines may repeat, since delivery is at least once (count distinct ids)."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Final, Literal

from runtime.files import make_private, see_writable, sync
from schemas.envelope import Envelope
from schemas.errors import Misconfigured, Permanent, Unavailable
from schemas.settings import Outlet

_BLOCK_BYTES: Final = 64 * 1024


class Jsonl(Outlet):
    """Appends each event's bytes as one line."""

    one_process: ClassVar[bool] = True
    taken: ClassVar[str] = "written"

    kind: Literal["jsonl"]
    path: Path

    async def check(self) -> None:
        """See that the file could be written; another process may have it open.

        Raises:
            Misconfigured: it could not.
        """
        if self.path.exists() and not (self.path.is_file() and os.access(self.path, os.W_OK)):
            raise Misconfigured(f"sink {self.name}: cannot write to {self.path}")
        see_writable(self.path.parent)

    @asynccontextmanager
    async def open(self, _: Callable[[], datetime], /) -> AsyncIterator[OpenJsonl]:
        """The sink, its file open and locked; a line that a crash tore is cut off first.

        Raises:
            Misconfigured: the file cannot be ours, or another process has it open.
            Unavailable: the disk does not take it.
        """
        file = await asyncio.to_thread(_File, self.path)
        writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"jsonl-{self.name}")
        try:
            yield OpenJsonl(file, writer)
        finally:
            writer.shutdown(wait=True)  # a cancelled write still runs in its thread and needs the file open
            file.close()


class OpenJsonl:
    """A sink (`workers.fan_out.Sink`); one thread writes, so batches never mix and the loop never waits for disk."""

    def __init__(self, file: _File, writer: ThreadPoolExecutor) -> None:
        self._file = file
        self._writer = writer

    async def write(self, batch: Sequence[Envelope]) -> Sequence[Exception | None]:
        """All lines of the batch in one write and one fsync.

        Raises:
            Unavailable: the disk is full or broken; the file ends where it ended before.
        """
        results = [_refusal(envelope) for envelope in batch]
        lines = [_line(envelope) for envelope, error in zip(batch, results, strict=True) if error is None]
        if lines:
            await asyncio.get_running_loop().run_in_executor(self._writer, self._file.append, b"".join(lines))
        return results


class _File:
    """The open file; all its methods block."""

    def __init__(self, path: Path) -> None:
        try:
            make_private(path.parent)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except (PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError) as error:
            raise Misconfigured(f"cannot open {path}: {error.strerror}") from None
        except OSError as error:
            raise Unavailable(f"cannot open {path}: {error.strerror}") from None
        try:
            self._own(path)
        except BaseException:
            os.close(self._fd)
            raise
        self._torn_at: int | None = None

    def _own(self, path: Path) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Misconfigured(f"another process writes to {path}") from None
        try:
            _cut_torn_line(self._fd)
            os.fsync(self._fd)
            sync(path.parent)
        except OSError as error:
            raise Unavailable(f"cannot open {path}: {error.strerror}") from None

    def append(self, lines: bytes) -> None:
        try:
            self._mend()
            self._torn_at = os.fstat(self._fd).st_size
            _write_all(self._fd, lines)
            os.fsync(self._fd)
        except OSError as error:
            with suppress(OSError):  # else the next append, or the next open, cuts it
                self._mend()
            raise Unavailable(f"cannot write: {error.strerror}") from None
        self._torn_at = None

    def _mend(self) -> None:
        """Cut what a failed write left behind."""
        if self._torn_at is not None and os.fstat(self._fd).st_size > self._torn_at:
            os.ftruncate(self._fd, self._torn_at)
        self._torn_at = None

    def close(self) -> None:
        os.close(self._fd)


def _refusal(envelope: Envelope) -> Exception | None:
    if not isinstance(envelope.body, bytes) or b"\n" in envelope.body:
        return Permanent("event_is_not_one_line")
    return None


def _line(envelope: Envelope) -> bytes:
    assert isinstance(envelope.body, bytes)
    return envelope.body + b"\n"


def _write_all(fd: int, data: bytes) -> None:
    """One write, and another only for what a nearly full disk left over: that one tells the error."""
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]


def _cut_torn_line(fd: int) -> None:
    end = os.fstat(fd).st_size
    start = end
    while start > 0:
        begin = max(0, start - _BLOCK_BYTES)
        newline = os.pread(fd, start - begin, begin).rfind(b"\n")
        if newline >= 0:
            start = begin + newline + 1
            break
        start = begin
    if start < end:
        os.ftruncate(fd, start)
