"""Objects in a bucket that speaks S3: `s3://bucket/prefix?endpoint=https://host&region=R&style=path`.

- `endpoint`: for OBS, OSS and MinIO, without the bucket's name; an http:// endpoint is taken as it stands.
- `region`: else AWS_REGION or AWS_DEFAULT_REGION.
- `style`: `path` (default; AWS, MinIO) or `virtual` (the bucket in the host name, which OBS and OSS want).

Keys never stand in the URL, which `config show` prints: obstore reads AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and
AWS_SESSION_TOKEN from the environment, or asks the machine's own role.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from schemas.errors import Misconfigured, Unavailable
from workers.objects.words import words_of

if TYPE_CHECKING:  # obstore has these only in its stubs
    from obstore.store import ClientConfig, RetryConfig, S3Config

# Bounds the memory of one put to CHUNKS x CHUNK_BYTES; S3 wants parts of 5 MiB and more.
CHUNK_BYTES: Final = 5 * 1024 * 1024
CHUNKS: Final = 4
CONNECT: Final = timedelta(seconds=5)
# The runtime backs off and says so; a long retry down here would only hide an outage.
RETRY: Final[RetryConfig] = {"max_retries": 2, "retry_timeout": timedelta(seconds=20)}

_PARAMETERS: Final = frozenset({"endpoint", "region", "style"})
_STYLES: Final = ("path", "virtual")


def open_bucket(url: str) -> BucketObjects:
    """The store that the URL names; no request is made yet.

    Raises:
        Misconfigured: an unknown parameter, or no keys to be found.
    """
    parts = urlsplit(url)
    given = dict(parse_qsl(parts.query))
    style = given.get("style", _STYLES[0])
    if not parts.hostname or parts.username is not None or style not in _STYLES or given.keys() - _PARAMETERS:
        raise Misconfigured("objects: s3://bucket/prefix takes endpoint, region and style (path or virtual) only")
    try:
        store = S3Store(
            parts.hostname,
            prefix=parts.path.strip("/") or None,
            config=_config(parts.hostname, given, virtual=style == "virtual"),
            client_options=_client(given),
            retry_config=RETRY,
        )
    except (BaseError, ValueError) as error:
        raise Misconfigured(f"objects: s3: {type(error).__name__}, are the AWS_... keys complete?") from None
    return BucketObjects(store)


class BucketObjects:
    """An object store (`workers.fetch_recording.ObjectStore`)."""

    def __init__(self, store: S3Store) -> None:
        self._store = store

    async def put(self, place: str, file: Path) -> None:
        """Upload the file to `place`, in parts when it is large; stored when it returns.

        Raises:
            Unavailable: the service is away or refuses us.
        """
        try:
            await obstore.put_async(self._store, place, file, chunk_size=CHUNK_BYTES, max_concurrency=CHUNKS)
        except (BaseError, OSError) as error:  # their texts hold addresses and request ids
            raise Unavailable(f"object store: {words_of(error)}") from None

    async def delete(self, place: str) -> bool:
        """Whether it was there; it is gone when this returns (a bucket that keeps versions keeps the one before).

        Raises:
            Unavailable: the service is away or refuses us.
        """
        try:
            await obstore.head_async(self._store, place)
            await obstore.delete_async(self._store, place)
        except FileNotFoundError:
            return False
        except (BaseError, OSError) as error:
            raise Unavailable(f"object store: {words_of(error)}") from None
        return True

    async def see_writable(self) -> None:
        """See that an object can be put there and deleted; nothing is left.

        Raises:
            Misconfigured: it cannot, in the service's own words.
        """
        place = f"callstitch.check.{token_hex(8)}"
        try:
            await obstore.put_async(self._store, place, b"")
            await obstore.delete_async(self._store, place)
        except (BaseError, OSError) as error:
            raise Misconfigured(f"objects: cannot put and delete in the bucket: {words_of(error)}") from None


def _config(bucket: str, given: dict[str, str], *, virtual: bool) -> S3Config:
    config: S3Config = {"virtual_hosted_style_request": virtual}
    if "region" in given:
        config["region"] = given["region"]
    if "endpoint" in given:
        scheme, _, host = given["endpoint"].rstrip("/").partition("://")
        config["endpoint"] = f"{scheme}://{bucket}.{host}" if virtual else f"{scheme}://{host}"
    return config


def _client(given: dict[str, str]) -> ClientConfig:
    return {"allow_http": given.get("endpoint", "").startswith("http://"), "connect_timeout": CONNECT}
