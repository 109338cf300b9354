"""A toy platform, as a newcomer would begin one: each push is one call, in JSON, once it has ended.

test_toys.py puts it into a copy of the tree as `schemas/platforms/toy/__init__.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from schemas.dialect import items
from schemas.dialect.dialect import Dialect
from schemas.dialect.fields import as_integer, phone, session_of
from schemas.dialect.json_body import load_object
from schemas.envelope import JsonObject
from schemas.errors import Malformed
from schemas.facts import CallFields, Cdr, Parsed
from schemas.notification import Notification, Reply
from schemas.settings.source import Source


class ToySource(Source):
    """`product` stands in its records."""

    product: str = "toy"


def parse(notification: Notification, source: ToySource) -> Sequence[Parsed | Malformed]:
    """One CDR.

    Raises:
        Malformed: empty_body, not_json, too_deep or not_an_object.
    """
    row = load_object(notification.body)
    return [items.attempt(lambda: _cdr(row, source))]


def reply(_: Notification) -> Reply:
    """HTTP 200 with an empty body."""
    return Reply()


def _cdr(row: JsonObject, source: ToySource) -> Parsed:
    """Malformed with reason no_session_id, numeric_id or long_id."""
    call_id = session_of(row, "call")
    call = CallFields(
        product=source.product,
        caller=phone(row, "from"),
        callee=phone(row, "to"),
        talk_seconds=as_integer(row.get("seconds")),
    )
    return items.cdr(Cdr(record_id=call_id, call=call, raw=row), session_id=call_id, key=(call_id,))


DIALECT: Final[Dialect[ToySource]] = Dialect(
    name="toy",
    settings=ToySource,
    parse=parse,
    reply=reply,
    whole_by_cdr=True,
)
