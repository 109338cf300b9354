"""A body with what no reader or store takes put right: one bad character must not cost a push, and up to 50 CDRs.

Nothing here is tried before a plain reading has failed. Each mending says what it was, and what trace it left, by which
an item that holds none of it is known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import orjson

from schemas.errors import Malformed
from schemas.facts import Parsed
from schemas.vocabulary import Repair

MENDED_BYTES: Final = 1024 * 1024  # what the door takes; a larger one was packed, and is read as it is or not at all
REPLACEMENT: Final = "\ufffd"

Repairs = Mapping[Repair, bytes]  # by word, the bytes that an item holds in which this was mended

NONE: Final[Repairs] = {}
ANYWHERE: Final = b""
LOST: Final = REPLACEMENT.encode()

_CHINESE: Final = "gb18030"  # holds GBK and GB2312
_CHARSET: Final = re.compile(r"(?:charset|encoding)\s*=\s*[\"']?(?:gb18030|gbk|gb2312|cp936|x-gbk)", re.IGNORECASE)
_CERTAINTY: Final = 2  # characters: a text that was cut in the middle of one holds one bad

_NUL: Final = b"\\u0000"
# An escape of NUL or of half a surrogate pair, after all that is well: one match, since each costs a call.
_ESCAPED: Final = re.compile(
    rb"((?:[^\\]++|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\(?!u0000|u[dD][89a-fA-F])[\x00-\xff])*+)"
    rb"(\\u0000|\\u[dD][89a-fA-F][0-9a-fA-F]{2})?"
)
_TEXT_OR_CONTROL: Final = re.compile(r'"(?:[^"\\]++|\\[^\x00-\x1f])*+"?|[\x00-\x08\x0b\x0c\x0e-\x1f]+')
_IN_TEXT: Final = dict.fromkeys(range(0x20), REPLACEMENT) | {
    ord(sent): escape for sent, escape in {"\0": r"\u0000", "\t": r"\t", "\n": r"\n", "\r": r"\r"}.items()
}


def decoded(body: bytes, declared: str = "") -> tuple[str, Repairs]:
    """The body as text; `declared` is whatever may name its charset.

    It is UTF-8 where it can be. Else it is Chinese (GBK) where that is declared, or where most of what is not ASCII is
    no UTF-8 and all of it is Chinese; else what is no UTF-8 is replaced.
    """
    try:
        return body.decode(), NONE
    except UnicodeDecodeError:
        text = body.decode(errors="replace")
    bad = text.count(REPLACEMENT) - body.count(LOST)  # which its sender wrote
    good = sum(not character.isascii() for character in text) - bad
    if _CHARSET.search(declared) or bad >= max(_CERTAINTY, good + 1):
        try:
            return body.decode(_CHINESE), {"encoding": ANYWHERE}
        except UnicodeDecodeError:
            pass
    return text, {"encoding": LOST}


def mended_json(body: bytes, declared: str = "") -> tuple[bytes, Repairs]:
    """A JSON body that is UTF-8, whose texts hold no control character and no half of a surrogate pair.

    A line break or a tab is spelled as it should have been; NUL is dropped, and anything else is U+FFFD.
    """
    if len(body) > MENDED_BYTES:
        return body, NONE
    text, repairs = decoded(body, declared)
    traces: set[bytes] = set()

    def plain(found: re.Match[str]) -> str:
        if found[0][0] != '"':
            return " "  # between texts they say nothing
        told = found[0].translate(_IN_TEXT)
        if told != found[0]:
            traces.add(LOST if len(told) == len(found[0]) else ANYWHERE)  # an escape is longer
        return told

    found, more = without_bad_escapes(_TEXT_OR_CONTROL.sub(plain, text).encode())
    traces.update(more.values())
    return found, {**repairs, **({"character": min(traces)} if traces else {})}  # the least of them is ANYWHERE


def without_bad_escapes(body: bytes) -> tuple[bytes, Repairs]:
    """The same JSON without escapes of NUL; one of half a surrogate pair is one of U+FFFD.

    NUL is dropped as it always was: it pads what programs in C send, so without it an id is what it was meant to be.
    """
    mended = _ESCAPED.sub(_replaced, body) if len(body) <= MENDED_BYTES else body
    return mended, NONE if mended == body else {"character": LOST if len(mended) == len(body) else ANYWHERE}


def marked(items: Sequence[Parsed | Malformed], repairs: Repairs) -> Sequence[Parsed | Malformed]:
    """The items of a body that was mended so: each says what of it is in it."""
    return [_marked(item, repairs) for item in items] if repairs else items


def _marked(item: Parsed | Malformed, repairs: Repairs) -> Parsed | Malformed:
    if isinstance(item, Malformed):
        return item
    raw = orjson.dumps(item.body)
    words = tuple(sorted(word for word, trace in repairs.items() if trace in raw))
    return replace(item, repaired=words) if words else item


def _replaced(found: re.Match[bytes]) -> bytes:
    if not found[2]:
        return found[0]
    return found[1] if found[2] == _NUL else found[1] + b"\\ufffd"
