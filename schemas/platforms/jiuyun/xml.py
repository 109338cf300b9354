"""Jiuyun's XML as one object, repaired where the platform's own sender breaks it.

The sender joins strings without escaping, and its queue cuts a body whose userData holds `#####`
(docs/protocols/jiuyun-axb.md sections 6.1 and 6.5). A body is repaired only where nothing has to be guessed: what it
joined is told as it stood before it was joined, so an entity that XML does not know stays as its letters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from xml.parsers import expat

from schemas.dialect.json_body import BOM, MAX_DEPTH
from schemas.dialect.mending import ANYWHERE, REPLACEMENT, Repairs, decoded
from schemas.envelope import JsonObject
from schemas.errors import Malformed
from schemas.vocabulary import Repair

MAX_BYTES: Final = 256 * 1024  # the longest documented body has 1 KB, and mending a hostile MiB took 1.3 s
MAX_ELEMENTS: Final = 1000  # the longest documented body has 17
ROOT: Final = "req"

ESCAPED: Final = "escaped"
LEAVES: Final = "leaves"
CUT_OFF: Final = "cut_off"

_PREDEFINED: Final[Mapping[str, str]] = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_REFERENCE: Final = re.compile(r"&(amp|lt|gt|quot|apos);")
_BARE_AMPERSAND: Final = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#[0-9]+|#x[0-9A-Fa-f]+);)")
_ENTITY: Final = re.compile(r"&(?!(?:amp|lt|gt|quot|apos);)[A-Za-z_:][\w.:-]*;")
_NUMERIC: Final = re.compile(r"&#(?:x([0-9A-Fa-f]{1,6})|([0-9]{1,7}));")
_FORBIDDEN: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")  # what is no Char of XML 1.0
_POINTS: Final = range(0x110000)
_SURROGATES: Final = range(0xD800, 0xE000)
_AROUND: Final = " \t\r\n\0"
_PROLOG: Final = re.compile(rb"\s*<\?xml[^>]{0,200}>")
_DECLARATION: Final = re.compile(r"<!(?:DOCTYPE|ENTITY)", re.IGNORECASE)
_ROOT_OPEN: Final = re.compile(rf"<{ROOT}(?:\s[^<>]*)?>")
_ROOT_CLOSE: Final = re.compile(rf"</{ROOT}\s*>\s*\Z")
_OPEN: Final = re.compile(r"<([A-Za-z_][\w.-]*)(?:\s[^<>]*)?/?>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """`content` is `{root: value}`: a leaf is its text, a name that repeats a list, an attribute `@name`.

    `repaired` is None, or how it was made readable: ESCAPED (a bare `&`), LEAVES (`<name>text</name>` by `name`,
    because a text holds `<` or something else that XML forbids), CUT_OFF (the same, and the end is missing).
    """

    content: JsonObject
    repaired: str | None = None
    repairs: Repairs = field(default_factory=dict)


def load_xml(body: bytes, declared: str = "") -> Document:
    """The body as a document, without byte order mark and without NUL; what else XML forbids is replaced.

    Its charset may stand in its declaration, or in `declared`.

    Raises:
        Malformed: too_large, doctype, entity (a declared one), too_deep (the root is level 1), too_many_elements,
            ill_formed.
    """
    if len(body) > MAX_BYTES:
        raise Malformed("too_large")
    body = body.removeprefix(BOM)
    prolog = _PROLOG.match(body)
    sent, repairs = decoded(body, f"{declared} {prolog[0].decode('latin-1')}" if prolog else declared)
    sent = sent.strip(_AROUND)
    text = _FORBIDDEN.sub(REPLACEMENT, sent.replace("\0", ""))
    if text != sent:
        repairs = {**repairs, "character": ANYWHERE}
    try:
        return Document(content=_tree(text), repairs=repairs)
    except expat.ExpatError:
        return _repaired(text, repairs)


def _repaired(text: str, repairs: Repairs) -> Document:
    if _DECLARATION.search(text):
        raise Malformed("doctype")
    allowed = _NUMERIC.sub(_if_allowed, text)
    escaped = _BARE_AMPERSAND.sub("&amp;", allowed)
    found = dict(repairs)
    if allowed != text:
        found["character"] = ANYWHERE
    if _ENTITY.search(allowed):
        found["entity"] = ANYWHERE
    if _BARE_AMPERSAND.search(_ENTITY.sub("", allowed)):
        found["ampersand"] = ANYWHERE
    try:
        return Document(content=_tree(escaped), repaired=None if escaped == allowed else ESCAPED, repairs=found)
    except expat.ExpatError:
        return _leaves(allowed, found)


def _if_allowed(reference: re.Match[str]) -> str:
    """A reference to a character that XML forbids is one of U+FFFD, and none of NUL: expat refuses the whole."""
    point = int(reference[1], 16) if reference[1] else int(reference[2])
    if point == 0:
        return ""
    allowed = point in _POINTS and point not in _SURROGATES and not _FORBIDDEN.match(chr(point))
    return reference[0] if allowed else REPLACEMENT


def _leaves(text: str, repairs: Repairs) -> Document:
    """What stands in `<name>...</name>` inside the root, tags in it included, as the sender joined it."""
    root = _ROOT_OPEN.search(text)
    if root is None:
        raise Malformed("ill_formed", "root")
    closed = _ROOT_CLOSE.search(text, root.end())
    inside = text[root.end() : closed.start()] if closed else text[root.end() :]
    fields: JsonObject = {}
    position = 0
    while opened := _OPEN.search(inside, position):
        name = opened[1]
        value, position = _leaf(inside, opened, cut_off=closed is None)
        if name in fields:
            raise Malformed("ill_formed", "repeated")
        if len(fields) == MAX_ELEMENTS:
            raise Malformed("too_many_elements")
        fields[name] = value
    how: Repair = "ampersand" if closed else "cut"
    return Document(content={ROOT: fields}, repaired=LEAVES if closed else CUT_OFF, repairs={**repairs, how: ANYWHERE})


def _leaf(inside: str, opened: re.Match[str], *, cut_off: bool) -> tuple[str, int]:
    """The text of a leaf and where the next may begin."""
    if opened[0].endswith("/>"):
        return "", opened.end()
    close = f"</{opened[1]}>"
    end = inside.find(close, opened.end())
    if end < 0 and not cut_off:
        raise Malformed("ill_formed", "unclosed")  # whose text it swallowed cannot be known
    if end < 0:
        return _plain(inside[opened.end() :]), len(inside)
    return _plain(inside[opened.end() : end]), end + len(close)


def _plain(text: str) -> str:
    return _REFERENCE.sub(lambda found: _PREDEFINED[found[1]], text)


def _tree(text: str) -> JsonObject:
    """A well-formed document.

    Raises:
        expat.ExpatError: it is none.
        Malformed: doctype, entity, too_deep, too_many_elements.
    """
    builder = _Builder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.EntityDeclHandler = _refuse_entity
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.Parse(text, True)  # a str, so that no declared encoding counts
    return builder.top.fields


def _refuse_doctype(*_: object) -> None:
    raise Malformed("doctype")


def _refuse_entity(*_: object) -> None:
    raise Malformed("entity")


@dataclass(slots=True)
class _Element:
    fields: JsonObject = field(default_factory=dict)
    text: list[str] = field(default_factory=list)

    def add(self, name: str, value: Any) -> None:
        known = self.fields.get(name)
        if known is None:
            self.fields[name] = value
        elif isinstance(known, list):
            known.append(value)
        else:
            self.fields[name] = [known, value]

    def value(self) -> str | JsonObject:
        text = "".join(self.text)
        if not self.fields:
            return text
        return {**self.fields, "#text": text} if text.strip() else self.fields


class _Builder:
    """What expat tells, as nested objects under `top`."""

    def __init__(self) -> None:
        self.top = _Element()
        self._open = [self.top]
        self._elements = 0

    def start(self, name: str, attributes: Mapping[str, str]) -> None:  # noqa: ARG002 - expat's own order
        self._elements += 1
        if self._elements > MAX_ELEMENTS:
            raise Malformed("too_many_elements")
        if len(self._open) > MAX_DEPTH:
            raise Malformed("too_deep")
        self._open.append(_Element({f"@{key}": value for key, value in attributes.items()}))

    def end(self, name: str) -> None:
        closed = self._open.pop()
        self._open[-1].add(name, closed.value())

    def data(self, text: str) -> None:
        self._open[-1].text.append(text)
