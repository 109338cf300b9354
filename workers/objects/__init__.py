"""Where recordings live: a local directory, or a bucket that speaks S3 (AWS, OBS, OSS, MinIO), both by obstore."""

from __future__ import annotations

from typing import Final

import obstore
from obstore.store import MemoryStore

from schemas.errors import Unavailable
from schemas.settings.addresses import ObjectsAddress
from workers.objects.bucket import BucketObjects, open_bucket
from workers.objects.directory import DirectoryObjects, open_directory

_PANICS: Final = "pyo3_runtime"  # the module of what Rust panics with, which is no Exception


async def make_runtime() -> None:
    """Let obstore make its threads now, while there are descriptors for them; it makes them once, when first used.

    Out of descriptors it panics, which ends a process, and never works again in it.

    Raises:
        Unavailable: there are none even now.
    """
    try:
        await obstore.put_async(MemoryStore(), "first", b"")
    except BaseException as panic:
        if type(panic).__module__ != _PANICS:
            raise
        raise Unavailable("object store: no descriptors for its threads") from None


def open_objects(address: ObjectsAddress) -> DirectoryObjects | BucketObjects:
    """The object store at that address.

    Nothing needs closing. Directories are relative to the working directory; `workers.objects.bucket` says what an s3
    URL may hold.

    Raises:
        Misconfigured: it cannot be used.
    """
    return open_bucket(address.text) if address.directory is None else open_directory(address.directory)
