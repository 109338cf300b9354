"""The headers that the door reads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from schemas.notification import KEPT_HEADERS, SIGNATURE_HEADERS

_READ: Final = KEPT_HEADERS | SIGNATURE_HEADERS


def read_headers(sent: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Those that a push is kept or judged by, in lower case; of one sent twice all values, as HTTP joins them.

    So two signatures are one that nobody can read, and not whichever comes last (RFC 9110, section 5.3).
    """
    headers: dict[str, str] = {}
    for name, value in [pair for pair in sent if pair[0].lower() in _READ]:
        lower, text = name.lower(), as_text(value)
        headers[lower] = f"{headers[lower]}, {text}" if lower in headers else text
    return headers


def as_text(sent: str) -> str:
    """What was sent without lone surrogates: aiohttp makes them of bytes that are no UTF-8, and JSON has none."""
    return sent if sent.isascii() else sent.encode(errors="surrogateescape").decode(errors="replace")
