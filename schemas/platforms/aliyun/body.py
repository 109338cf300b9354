"""Aliyun's JSON bodies: an array of receipts over HTTP, one object from a message queue; ids stay exact.

Source: docs/protocols/aliyun-pnp.md sections 4 (array) and 5 (object), section 7 trap 5 (long ids, never float).
"""

from __future__ import annotations

import re
from typing import Any, Final

from schemas.dialect.json_body import read_value
from schemas.dialect.mending import Repairs
from schemas.errors import Malformed

MAX_ITEMS: Final = 1000  # no limit was found; each has a claim, a fact and maybe a record

_LONG: Final = re.compile(rb"[0-9]{20}|-[0-9]{19}")  # fewer always fit 64 bits
_STRING_OR_NUMBER: Final = re.compile(
    rb'"(?:[^"\\]++|\\.)*+"|-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?',
    re.DOTALL,
)
_LONG_INTEGER: Final = re.compile(rb"[0-9]{20,}|-[0-9]{19,}")


def read_items(body: bytes, declared: str) -> tuple[list[Any], Repairs]:
    """The items of a push, in order, and what was mended in it; an item may be any JSON.

    An integer of 20 figures or more (negative: 19) becomes text, because a reader of 64 bits makes a float of it.

    Raises:
        Malformed: empty_body, too_many_brackets, not_json, too_deep (the list is level 1), not_an_object (neither is
            the body a list), no_items or too_many_items.
    """
    items, repairs = read_value(body, declared)
    if _LONG.search(body):  # only what is JSON may be rewritten
        items, repairs = read_value(_STRING_OR_NUMBER.sub(_long_integer_as_text, body), declared)
    if isinstance(items, dict):
        items = [items]
    if not isinstance(items, list):
        raise Malformed("not_an_object")
    if not items:
        raise Malformed("no_items")
    if len(items) > MAX_ITEMS:
        raise Malformed("too_many_items", f"{len(items)} items")
    return items, repairs


def _long_integer_as_text(token: re.Match[bytes]) -> bytes:
    return b'"%b"' % token[0] if _LONG_INTEGER.fullmatch(token[0]) else token[0]
