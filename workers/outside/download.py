"""Audio from a host that we do not trust into a scratch file: redirects by hand, bounded, sniffed, hashed."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final, NoReturn

import aiohttp
from yarl import URL

from schemas.errors import Permanent, Transient, Unavailable
from workers.outside.audio import HEAD_BYTES, sniff, wav_seconds
from workers.outside.errors import our_errors, retry_after
from workers.outside.guard import Allowlist

RECORDING_BYTES: Final = 200 * 1024 * 1024
MAX_REDIRECTS: Final = 3
CHUNK_BYTES: Final = 256 * 1024
LEAST_BYTES_A_SECOND: Final = 16 * 1024  # of audio that plays at 1 to 16; after SETTLING_SECONDS
SETTLING_SECONDS: Final = 10.0
NAME_LENGTH: Final = 253
LABEL_LENGTH: Final = 63

_OK: Final = 200
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True, kw_only=True)
class Audio:
    """What was downloaded: `format` by its first bytes, `seconds` None where the header does not tell."""

    format: str
    bytes: int
    sha256: str
    seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Downloader:
    """Downloads for one source. `clock` serves only to read a Retry-After that is a date."""

    session: aiohttp.ClientSession
    allowlist: Allowlist
    clock: Callable[[], datetime]
    most_bytes: int = RECORDING_BYTES
    settling_seconds: float = SETTLING_SECONDS

    async def download(self, url: URL, into: Path) -> Audio:
        """Fetch the audio at `url` into the file `into`, following at most MAX_REDIRECTS redirects.

        No credentials are sent: an address that a platform gives out carries its own.

        Raises:
            Permanent: our own rules forbid it (host_not_allowed, address_not_allowed, too_large, ...).
            Transient: the other side did not deliver audio (not_audio, audio_refused, timed_out, ...).
            Unavailable: our scratch disk does not take it.
        """
        for _ in range(MAX_REDIRECTS + 1):
            self.allowlist.check(url)
            with our_errors():
                async with self.session.get(url, allow_redirects=False) as response:
                    if response.status not in _REDIRECTS:
                        return await self._receive(response, into)
                    url = follow(url, response.headers.get("Location", ""))
        raise Transient("too_many_redirects")

    async def _receive(self, response: aiohttp.ClientResponse, into: Path) -> Audio:
        if response.status != _OK:
            raise Transient("audio_refused", retry_after=retry_after(response.headers, self.clock()))
        if (response.content_length or 0) > self.most_bytes:
            raise Permanent("too_large")
        head = await _head(response.content)
        found = sniff(head)
        if found is None:
            raise Transient("not_audio")
        scratch = await asyncio.to_thread(_Scratch, into, self.most_bytes)
        try:
            await asyncio.to_thread(scratch.add, head)
            started = time.monotonic()
            async for chunk in response.content.iter_chunked(CHUNK_BYTES):
                await asyncio.to_thread(scratch.add, chunk)
                self._check_speed(scratch.size, time.monotonic() - started)
        finally:
            await asyncio.to_thread(scratch.close)
        delimited = "Content-Length" in response.headers or "Transfer-Encoding" in response.headers
        return await asyncio.to_thread(_measured, into, found, scratch, delimited=delimited)

    def _check_speed(self, size: int, seconds: float) -> None:
        """A host that drips would keep a slot from all others for minutes."""
        if seconds > self.settling_seconds and size < seconds * LEAST_BYTES_A_SECOND:
            raise Transient("too_slow")


@dataclass(slots=True)
class _Scratch:
    """The open scratch file; all its methods block."""

    path: Path
    most: int
    size: int = 0
    sha256: hashlib._Hash = field(default_factory=hashlib.sha256)
    stream: BinaryIO = field(init=False)

    def __post_init__(self) -> None:
        try:
            self.stream = self.path.open("wb")
        except OSError as error:
            _disk(error)

    def add(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self.size > self.most:
            raise Permanent("too_large")
        self.sha256.update(chunk)
        try:
            self.stream.write(chunk)
        except OSError as error:
            _disk(error)

    def close(self) -> None:
        try:
            self.stream.close()
        except OSError as error:
            _disk(error)


def parse_address(text: str) -> URL:
    """A URL out of a push or a Location, kept as sent, because its query may be signed.

    Raises:
        Permanent: bad_address.
    """
    if any(not character.isprintable() or character.isspace() for character in text):
        raise Permanent("bad_address")
    try:
        url = URL(text, encoded=text.isascii())
        _ = url.port  # judged only when asked for
        if url.raw_host:
            _check_labels(url.raw_host)
    except ValueError:
        raise Permanent("bad_address") from None
    return url


def _check_labels(host: str) -> None:
    """Raises ValueError for a name that DNS cannot have: the resolver's own error would be nobody's (RFC 1035)."""
    if ":" in host:  # an IPv6 literal
        return
    labels = host.removesuffix(".").split(".")
    if len(host) > NAME_LENGTH or not all(0 < len(label) <= LABEL_LENGTH for label in labels):
        raise ValueError


def follow(url: URL, location: str) -> URL:
    """Where a redirect leads; relative ones count from `url`.

    Raises:
        Permanent: bad_address, or insecure_redirect for one that leaves https.
        Transient: no_location.
    """
    if not location:
        raise Transient("no_location")
    try:
        target = url.join(parse_address(location))
    except ValueError:
        raise Permanent("bad_address") from None
    if url.scheme == "https" and target.scheme != "https":
        raise Permanent("insecure_redirect")
    return target


async def _head(content: aiohttp.StreamReader) -> bytes:
    try:
        return await content.readexactly(HEAD_BYTES)
    except asyncio.IncompleteReadError as error:
        return error.partial


def _measured(file: Path, found: str, scratch: _Scratch, *, delimited: bool) -> Audio:
    """Where only the end of the connection ends the body, the WAV header must tell whether it broke too early."""
    seconds, whole = wav_seconds(file) if found == "wav" else (None, True)
    if not (whole or delimited):
        raise Transient("truncated")
    return Audio(format=found, bytes=scratch.size, sha256=scratch.sha256.hexdigest(), seconds=seconds)


def _disk(error: OSError) -> NoReturn:
    raise Unavailable(f"scratch disk: {error.strerror or type(error).__name__}") from None
