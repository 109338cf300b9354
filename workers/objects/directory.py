"""Objects as files below one directory. obstore renames into place but never fsyncs: that is done here."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore

from runtime.files import make_private, see_writable, sync
from schemas.errors import Misconfigured, Unavailable
from workers.objects.words import words_of

# Bounds the memory of one put to CHUNKS x CHUNK_BYTES.
CHUNK_BYTES: Final = 5 * 1024 * 1024
CHUNKS: Final = 2


def open_directory(root: Path) -> DirectoryObjects:
    """The store below `root`, which is made if missing, for our user only.

    Raises:
        Misconfigured: the directory cannot be made or written.
    """
    try:
        make_private(root)
        store = LocalStore(root)
    except (OSError, BaseError) as error:
        raise Misconfigured(f"objects: cannot use {root}: {words_of(error)}") from None
    if not os.access(root, os.W_OK | os.X_OK):
        raise Misconfigured(f"objects: cannot write to {root}")
    return DirectoryObjects(root, store)


class DirectoryObjects:
    """An object store (`workers.fetch_recording.ObjectStore`)."""

    def __init__(self, root: Path, store: LocalStore) -> None:
        self._root = root
        self._store = store

    async def put(self, place: str, file: Path) -> None:
        """Copy the file to `place` in one rename; file and directories are fsynced when it returns.

        Raises:
            Unavailable: the disk is full, broken or read-only.
        """
        try:
            await obstore.put_async(self._store, place, file, chunk_size=CHUNK_BYTES, max_concurrency=CHUNKS)
            await asyncio.to_thread(self._settle, place)
        except (BaseError, OSError) as error:
            raise Unavailable(f"object store: {words_of(error)}") from None

    async def delete(self, place: str) -> bool:
        """Whether it was there; it is gone for good when this returns.

        Raises:
            Unavailable: the directory is not there, or does not let us.
        """
        return await asyncio.to_thread(self._delete, place)

    async def see_writable(self) -> None:
        """See that a file could be made there. Raises Misconfigured when it could not."""
        await asyncio.to_thread(see_writable, self._root)

    def _delete(self, place: str) -> bool:
        target = self._root / place
        try:
            target.resolve().relative_to(self._root.resolve())
            target.unlink()
            sync(target.parent)
        except FileNotFoundError:
            return False
        except ValueError:
            raise Unavailable("object store: a place outside of it") from None
        except OSError as error:
            raise Unavailable(f"object store: {words_of(error)}") from None
        return True

    def _settle(self, place: str) -> None:
        target = self._root / place
        target.chmod(0o600)
        sync(target)
        directory = target.parent
        while True:  # each level may be new, and a directory's entry lives in its parent
            sync(directory)
            if directory == self._root:
                return
            directory.chmod(0o700)  # the library makes them for everybody
            directory = directory.parent
