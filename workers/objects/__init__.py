"""Where recordings live: a local directory, or a bucket that speaks S3 (AWS, OBS, OSS, MinIO), both by obstore."""

from __future__ import annotations

from schemas.settings.addresses import ObjectsAddress
from workers.objects.bucket import BucketObjects, open_bucket
from workers.objects.directory import DirectoryObjects, open_directory


def open_objects(address: ObjectsAddress) -> DirectoryObjects | BucketObjects:
    """The object store at that address.

    Nothing needs closing. Directories are relative to the working directory; `workers.objects.bucket` says what an s3
    URL may hold.

    Raises:
        Misconfigured: it cannot be used.
    """
    return open_bucket(address.text) if address.directory is None else open_directory(address.directory)
