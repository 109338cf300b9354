"""What crosses the door: the raw notification, whose exact bytes can be rebuilt always, and our answer."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any, Final, Literal

from schemas.envelope import JsonObject
from schemas.value import value

Signed = Literal["right", "none"]  # what the door found; `none`: it had nothing to judge by

# Enough to read the body later; anything else a proxy adds is not ours to keep.
KEPT_HEADERS: Final = frozenset({"content-encoding", "date"})
# What the door needs besides to judge a signature. Huawei's cover neither body nor time, so whoever reads one could
# push with it until the secret changes: they end at the door, and its verdict is kept.
SIGNATURE_HEADERS: Final = frozenset({"authorization", "x-aksk", "x-wsse"})


@value
class Notification:
    """One HTTP request as accepted. `path` starts after the token; header names are in lower case.

    `signed` stands in place of a signature, which nothing that is stored holds; None: none came. `memo` keeps what a
    dialect has worked out of this very push, by name, so that what asks again does not parse again.
    """

    path: str
    remote: str
    content_type: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    signed: Signed | None = None
    memo: dict[str, Any] = field(init=False, default_factory=dict, compare=False, repr=False)


@value
class Reply:
    """What a platform wants to hear."""

    status: int = 200
    content_type: str | None = None
    body: bytes = b""


def without_signature(notification: Notification, *, right: bool) -> Notification:
    """The same as it is stored: a verdict in place of the headers of a signature."""
    if not right and KEPT_HEADERS.issuperset(notification.headers):
        return notification
    headers = {name: value for name, value in notification.headers.items() if name in KEPT_HEADERS}
    return replace(notification, headers=headers, signed="right" if right else "none")


def to_json(notification: Notification) -> JsonObject:
    """The envelope body of a raw notification: `text` when the bytes are UTF-8, else `base64`."""
    row: JsonObject = {
        "path": notification.path,
        "remote": notification.remote,
        "content_type": notification.content_type,
        "headers": dict(notification.headers),
    }
    if notification.signed is not None:
        row["signed"] = notification.signed
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
        signed=row.get("signed"),
    )
