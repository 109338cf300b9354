"""Where recordings live: a local directory, or a bucket that speaks S3 (AWS, OBS, OSS, MinIO), both by obstore."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from schemas.errors import Misconfigured
from workers.objects.bucket import BucketObjects, open_bucket
from workers.objects.directory import DirectoryObjects, open_directory

_FILE: Final = "file:"
_S3: Final = "s3://"


def open_objects(url: str) -> DirectoryObjects | BucketObjects:
    """The object store of the config's `objects`: `file:DIR` or `s3://bucket/prefix?endpoint=...`.

    Nothing needs closing. `file:` paths are relative to the working directory; `workers.objects.bucket` says
    what an s3 URL may hold.

    Raises:
        Misconfigured: it is neither, or cannot be used.
    """
    if url.startswith(_S3):
        return open_bucket(url)
    path = url.removeprefix(_FILE).removeprefix("//")
    if not url.startswith(_FILE) or not path:
        raise Misconfigured("objects: neither file:DIR nor s3://bucket/prefix")
    return open_directory(Path(path))
