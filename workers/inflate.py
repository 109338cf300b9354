"""The body of a notification as its sender wrote it: unpacked where it is packed, which the door does not do."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from schemas.errors import Malformed
from schemas.facts import Parsed
from schemas.notification import Notification

INFLATED_BYTES: Final = 1024 * 1024  # what the door takes of a body that is not packed
INFLATED_TIMES: Final = 50  # JSON of CDRs shrinks to a tenth or a twentieth; a bomb to a thousandth
INFLATED_ALWAYS: Final = 64 * 1024

# Not by codecs.lookup, which keeps every name that it does not know.
_CHARSET: Final = re.compile(
    r"(us-)?ascii|utf-?(8|16|32)([-_]?(le|be))?|utf-8-sig|unicode|gb[-_]?(2312|k|18030)|x-gbk|cp936|big5|hz-gb-2312"
    r"|(iso|latin)[-_]?([0-9]{4}[-_])?[0-9]{1,2}|(windows-|cp)[0-9]{3,5}|euc-cn"
)

Read = Callable[[Notification], Sequence[Parsed | Malformed]]

_GZIP: Final = frozenset({"gzip", "x-gzip"})
_NO_CODING: Final = frozenset({"", "identity", "none", "7bit", "8bit", "binary"})  # the last three are MIME's


def read_inflated(notification: Notification, read: Read) -> Sequence[Parsed | Malformed]:
    """What `read` makes of the notification, unpacked.

    `Content-Encoding` is often a charset (Java's `setContentEncoding("UTF-8")`), which names no coding. A body of a
    coding that nobody knows is read as it stands, and refused for its coding only where that fails.

    Raises:
        Malformed: as `inflated` and `read`, and unknown_content_encoding.
    """
    coding = notification.headers.get("content-encoding", "")
    if not coding:
        return read(notification)
    coding = coding.strip().lower()
    if coding in _GZIP:
        return read(inflated(notification))
    try:
        return read(notification)
    except Malformed:
        if coding in _NO_CODING or _CHARSET.fullmatch(coding):
            raise
        raise Malformed("unknown_content_encoding") from None


def inflated(notification: Notification) -> Notification:
    """The notification with its gzip body unpacked.

    Raises:
        Malformed: it is not gzip, is cut off, or unpacks to more than 1 MiB or to more than fifty times its size.
    """
    unpacker = zlib.decompressobj(wbits=31)
    try:
        most = min(INFLATED_BYTES, INFLATED_ALWAYS + INFLATED_TIMES * len(notification.body))
        body = unpacker.decompress(notification.body, most)
    except zlib.error:
        raise Malformed("not_gzip") from None
    if unpacker.unconsumed_tail:
        raise Malformed("inflates_too_large")
    if not unpacker.eof or unpacker.unused_data:
        raise Malformed("not_gzip")
    return replace(notification, body=body)
