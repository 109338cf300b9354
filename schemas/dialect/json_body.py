"""A platform's JSON body as one object that can be written back, or a reason why not.

Source: docs/notes/security.md section 3.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import orjson

from schemas.dialect.mending import NONE, Repairs, mended_json, without_bad_escapes
from schemas.envelope import JsonObject
from schemas.errors import Malformed

MAX_BRACKETS: Final = 20_000  # a push of a thousand items has some 5,000; each costs time and memory on every way
MAX_DEPTH: Final = 32  # orjson reads some 1024 levels, but from 255 on it cannot write them back
BOM: Final = b"\xef\xbb\xbf"  # the byte order mark, which some senders put before UTF-8

_NESTING: Final = frozenset({dict, list})  # orjson makes no subclasses
_NUL_ESCAPE: Final = b"\\u0000"  # JSON has no other way to spell it


class Read(NamedTuple):
    """What a body says, and what was mended to read it."""

    content: Any
    repairs: Repairs


def read_object(body: bytes, declared: str = "") -> Read:
    """The body as an object; a list of one object is that object. `declared` is what may name its charset.

    Raises:
        Malformed: as `read_value`, and not_an_object.
    """
    value, repairs = read_value(body, declared)
    if type(value) is list and len(value) == 1:
        (value,) = value
    if type(value) is not dict:
        raise Malformed("not_an_object")
    return Read(value, repairs)


def read_value(body: bytes, declared: str = "") -> Read:
    """The body without byte order mark, and without what no reader or store takes (see mending.py).

    An integer of more than 64 bits arrives as a float: callers must not take an id from a number.

    Raises:
        Malformed: empty_body, too_many_brackets, not_json, too_deep (the value itself is level 1).
    """
    body = body.removeprefix(BOM)
    if not body.strip():
        raise Malformed("empty_body")
    brackets = body.count(b"{") + body.count(b"[")
    if brackets > MAX_BRACKETS:
        raise Malformed("too_many_brackets")
    value, repairs = _load(body, declared)
    if brackets > MAX_DEPTH and _too_deep(value):
        raise Malformed("too_deep")
    return Read(value, repairs)


def load_object(body: bytes) -> JsonObject:
    """The object of `read_object`, however it was mended."""
    content: JsonObject = read_object(body).content
    return content


def fingerprint(item: JsonObject) -> str:
    """The sha256, in hex, of an item that `read_object` gave, whatever the order of its keys."""
    return sha256_hex(orjson.dumps(item, option=orjson.OPT_SORT_KEYS))


def sha256_hex(data: bytes) -> str:
    """The sha256 in hex."""
    return hashlib.sha256(data).hexdigest()


def _load(body: bytes, declared: str) -> Read:
    plain, repairs = without_bad_escapes(body) if _NUL_ESCAPE in body else (body, NONE)
    try:
        return Read(orjson.loads(plain), repairs)
    except orjson.JSONDecodeError as error:
        # the error's text and document hold the body, so neither may go on
        if "depth limit" in error.msg:
            raise Malformed("too_deep") from None
    mended, repairs = mended_json(body, declared)
    try:
        return Read(orjson.loads(mended), repairs)
    except orjson.JSONDecodeError as error:
        raise Malformed("too_deep" if "depth limit" in error.msg else "not_json") from None


def _too_deep(value: Any) -> bool:
    level: list[Iterable[Any]] = [[value]]
    for _ in range(MAX_DEPTH + 1):
        nested = [child for siblings in level for child in siblings if type(child) in _NESTING]
        if not nested:
            return False
        level = [child.values() if type(child) is dict else child for child in nested]
    return True
