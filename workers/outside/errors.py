"""How the answer of an HTTP server that we do not trust is read: bounded, and its failures in our own words."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp

from schemas.errors import Permanent, Transient, Unavailable
from workers.outside.guard import AddressRefused

ANSWER_BYTES: Final = 64 * 1024
LONGEST_WAIT_SECONDS: Final = 24 * 3600.0

# What this machine lacks, whoever is called: no descriptor, no memory for a socket.
_OURS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


@contextmanager
def our_errors() -> Iterator[None]:
    """Turn aiohttp's errors, whose texts hold addresses, into ours, whose texts are one short word.

    Raises:
        Permanent: address_not_allowed, bad_address.
        Transient: timed_out, certificate_refused, unreachable, connection_broken.
        Unavailable: we have no descriptor or no memory for the connection; the other side was never asked.
    """
    try:
        yield
    except aiohttp.ClientConnectorCertificateError:
        raise Transient("certificate_refused") from None
    except aiohttp.ClientConnectorError as error:
        if isinstance(error.os_error, AddressRefused):
            raise Permanent("address_not_allowed") from None
        if error.os_error.errno in _OURS:
            raise Unavailable(f"no connection can be opened: {error.os_error.strerror}") from None
        raise Transient("unreachable") from None
    except (aiohttp.InvalidURL, UnicodeError):  # the latter of a resolver, for a name that DNS cannot have
        raise Permanent("bad_address") from None
    except TimeoutError:
        raise Transient("timed_out") from None
    except (aiohttp.ClientError, ConnectionError):
        raise Transient("connection_broken") from None


async def read_at_most(content: aiohttp.StreamReader, most: int = ANSWER_BYTES) -> bytes:
    """The body, or its first `most` bytes; what lies beyond is never read."""
    parts: list[bytes] = []
    left = most
    while left > 0:
        part = await content.read(left)
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """The seconds of a Retry-After header, given in seconds or as an HTTP date (RFC 9110 section 10.2.3).

    None where it is absent or unreadable; never negative, and at most a day, since the other side may err.
    """
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdecimal():
        return min(float(value), LONGEST_WAIT_SECONDS)
    try:
        until = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError):
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return min(max((until - now).total_seconds(), 0.0), LONGEST_WAIT_SECONDS)
