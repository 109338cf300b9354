"""What crosses the door: the raw notification, whose exact bytes can be rebuilt always, and our answer."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import field
from typing import Final

from schemas.envelope import JsonObject
from schemas.value import value

# Enough to verify a signature and to read the body later; anything else a proxy adds is not ours to keep.
KEPT_HEADERS: Final = frozenset({"authorization", "x-aksk", "x-wsse", "content-encoding", "date"})


@value
class Notification:
    """One HTTP request as accepted. `path` starts after the token; header names are in lower case."""

    path: str
    remote: str
    content_type: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@value
class Reply:
    """What a platform wants to hear."""

    status: int = 200
    content_type: str | None = None
    body: bytes = b""


def to_json(notification: Notification) -> JsonObject:
    """The envelope body of a raw notification: `text` when the bytes are UTF-8, else `base64`."""
    row: JsonObject = {
        "path": notification.path,
        "remote": notification.remote,
        "content_type": notification.content_type,
        "headers": dict(notification.headers),
    }
    try:
        row["text"] = notification.body.decode()
    except UnicodeDecodeError:
        row["base64"] = base64.b64encode(notification.body).decode()
    return row


def from_json(row: JsonObject) -> Notification:
    """The notification, byte for byte."""
    body = row["text"].encode() if "text" in row else base64.b64decode(row["base64"])
    return Notification(
        path=row["path"],
        remote=row["remote"],
        content_type=row["content_type"],
        headers=row["headers"],
        body=body,
    )
