"""A platform's JSON body as one object that can be written back, or a reason why not.

Source: docs/notes/security.md section 3.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, Final

import orjson

from schemas.envelope import JsonObject
from schemas.errors import Malformed

MAX_BRACKETS: Final = 20_000  # a push of a thousand items has some 5,000; each costs time and memory on every way
MAX_DEPTH: Final = 32  # orjson reads some 1024 levels, but from 255 on it cannot write them back
BOM: Final = b"\xef\xbb\xbf"  # the byte order mark, which some senders put before UTF-8

_NESTING: Final = frozenset({dict, list})  # orjson makes no subclasses
_NUL_ESCAPE: Final = b"\\u0000"  # JSON has no other way to spell it


def load_object(body: bytes) -> JsonObject:
    """The body as an object, without byte order mark and without NUL characters, which PostgreSQL refuses.

    An integer of more than 64 bits arrives as a float: callers must not take an id from a number.

    Raises:
        Malformed: empty_body, too_many_brackets, not_json, too_deep (the object itself is level 1), not_an_object.
    """
    body = body.removeprefix(BOM)
    if not body.strip():
        raise Malformed("empty_body")
    brackets = body.count(b"{") + body.count(b"[")
    if brackets > MAX_BRACKETS:
        raise Malformed("too_many_brackets")
    value = _load(body)
    if brackets > MAX_DEPTH and _too_deep(value):
        raise Malformed("too_deep")
    if not isinstance(value, dict):
        raise Malformed("not_an_object")
    return _without_nul(value) if _NUL_ESCAPE in body else value


def fingerprint(item: JsonObject) -> str:
    """The sha256, in hex, of an item that `load_object` gave, whatever the order of its keys."""
    return sha256_hex(orjson.dumps(item, option=orjson.OPT_SORT_KEYS))


def sha256_hex(data: bytes) -> str:
    """The sha256 in hex."""
    return hashlib.sha256(data).hexdigest()


def _load(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        # the error's text and document hold the body, so neither may go on
        raise Malformed("too_deep" if "depth limit" in error.msg else "not_json") from None


def _too_deep(value: Any) -> bool:
    level: list[Iterable[Any]] = [[value]]
    for _ in range(MAX_DEPTH + 1):
        nested = [child for siblings in level for child in siblings if type(child) in _NESTING]
        if not nested:
            return False
        level = [child.values() if type(child) is dict else child for child in nested]
    return True


def _without_nul(value: Any) -> Any:
    """Recursive, which is safe once the depth is known."""
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, list):
        return [_without_nul(item) for item in value]
    if isinstance(value, dict):
        return {name.replace("\0", ""): _without_nul(item) for name, item in value.items()}
    return value
