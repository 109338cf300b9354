"""What Jiuyun posts as one flat object, be it XML or JSON: docs/protocols/jiuyun-axb.md sections 1, 3 and 6."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from schemas.dialect.fields import alone
from schemas.dialect.json_body import BOM, read_object
from schemas.dialect.mending import Repairs
from schemas.envelope import JsonObject
from schemas.errors import Malformed
from schemas.notification import Notification
from schemas.platforms.jiuyun.xml import ROOT, Document, load_xml

REPAIRED: Final = "_repaired"  # in `raw`: how an ill-formed body was made readable, see xml.Document


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One notification: `raw` as sent, with REPAIRED where that is so; `fields` without what says nothing.

    In `fields` texts are stripped, and what is empty or the literal `null` is absent (section 6.2 and 6.4).
    """

    raw: JsonObject
    fields: JsonObject
    repaired: str | None = None
    repairs: Repairs = field(default_factory=dict)


def load_message(body: bytes, declared: str) -> Message:
    """The body as a message, XML or JSON by its first byte that is no space (section 3).

    `declared` is what may name its charset.

    Raises:
        Malformed: empty_body, not_xml_or_json, and the reasons of `load_xml` and `read_object`.
    """
    match first_byte(body):
        case b"":
            raise Malformed("empty_body")
        case b"<":
            return _message(load_xml(body, declared))
        case b"{":
            return _message(_json(body, declared))
        case b"[":
            return _message(_listed(body, declared))
        case _:
            raise Malformed("not_xml_or_json")


def _json(body: bytes, declared: str) -> Document:
    content, repairs = read_object(body, declared)
    return Document(content=content, repairs=repairs)


def _listed(body: bytes, declared: str) -> Document:
    try:
        return _json(body, declared)
    except Malformed:
        raise Malformed("not_xml_or_json") from None


def is_json(notification: Notification) -> bool:
    """Whether the request was made in JSON: by its first byte, else, as in a gzip body, by its content type."""
    match first_byte(notification.body):
        case b"{" | b"[":
            return True
        case b"<":
            return False
        case _:
            return "json" in notification.content_type.lower()


def first_byte(body: bytes) -> bytes:
    """The first byte that is neither space nor part of a byte order mark; empty when there is none."""
    return body.removeprefix(BOM).lstrip()[:1]


def _message(document: Document) -> Message:
    """Flat or wrapped in `req`: the page gives no JSON sample, so both count; what stands beside `req` is kept."""
    outside = dict(document.content)
    inside = alone(outside.get(ROOT))
    if inside is not None:
        del outside[ROOT]
    raw = {**outside, **inside} if inside is not None else outside
    fields = {name: value for name, sent in raw.items() if (value := _telling(sent)) is not None}
    if document.repaired:
        raw = {**raw, REPAIRED: document.repaired}
    return Message(raw=raw, fields=fields, repaired=document.repaired, repairs=document.repairs)


def _telling(sent: Any) -> Any:
    value = sent.strip() if isinstance(sent, str) else sent
    return None if value in ("", "null") else value
