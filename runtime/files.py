"""Files with one owner, on SQLite or not: the lock, the look from outside, whose fault an error is, and the sync.

With `runtime.clock` the floor that the embedded broker, stores, sinks and object stores share.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from schemas.errors import Misconfigured

_BUSY_SECONDS: Final = 5.0
# What SQLite raises about a statement or its values. Everything else is the file's: full, locked, I/O, damage.
_ABOUT_A_STATEMENT: Final = (
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.NotSupportedError,
    sqlite3.ProgrammingError,
)


def make_private(directory: Path) -> None:
    """Make the directory, and whatever of its parents is missing, for our user only (`parents=True` makes them 0755).

    Raises:
        OSError: it cannot be made.
    """
    missing = [one for one in (directory, *directory.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(exist_ok=True, mode=0o700)
    if not directory.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(directory))


@contextmanager
def owned(path: Path) -> Iterator[None]:
    """Be the one process that writes the file at `path`; its directory is made if missing, for our user only.

    The lock is a file beside it, `path` + `.lock`, and the kernel drops it when the process dies, however it dies.

    Raises:
        Misconfigured: another process owns it, or the directory or the lock cannot be made.
    """
    lock = path.with_name(f"{path.name}.lock")
    try:
        make_private(path.parent)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise Misconfigured(f"cannot open {lock}: {error.strerror}") from None
    try:
        _lock(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Misconfigured(f"another process owns {path}") from None
    except OSError as error:
        raise Misconfigured(f"cannot lock {path}: {error.strerror}") from None


def identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from another of its name; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def see_writable(directory: Path) -> None:
    """See that a file can be made in `directory`, or, if that is not there yet, where it would be; nothing is left.

    Raises:
        Misconfigured: it cannot.
    """
    there = next(each for each in (directory, *directory.absolute().parents) if each.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise Misconfigured(f"cannot write to {directory}: {error.strerror}") from None


@contextmanager
def read_only(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that only reads a SQLite file, while its owner goes on writing; rows can be read by name.

    Raises:
        Misconfigured: there is no such file, or it cannot be read.
    """
    try:
        if not path.exists():
            raise Misconfigured(f"there is no state file {path}: nothing has run yet on this store, in this directory")
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=_BUSY_SECONDS)) as connection:
            connection.row_factory = sqlite3.Row
            yield connection
    except (OSError, sqlite3.Error) as error:
        if isinstance(error, OSError) or is_the_files_fault(error):
            raise Misconfigured(f"cannot read {path}: {error}") from None
        raise


def is_the_files_fault(error: BaseException) -> bool:
    """Whether a SQLite file failed us (disk full, locked, I/O, damage): nothing that a message could be blamed for."""
    return isinstance(error, sqlite3.Error) and not isinstance(error, _ABOUT_A_STATEMENT)


def sync(path: Path) -> None:
    """Make the file, or the entries of the directory, survive a power cut.

    Raises:
        OSError: the disk does not take it.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
