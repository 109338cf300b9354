"""Whether an outlet takes an event, by what the event says: `outcomes` and `products` of a table of the config."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from schemas.envelope import Envelope, JsonObject
from schemas.settings import Choice

_LATE: Final = "call.completed"
_BEFORE_IT: Final = frozenset({"call.incomplete", "call.amended"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Takes an event whose record has one of these values, for each field that is filtered by.

    And one that may be the end of what it took: a field that `changed` names, as the call may leave the set by that;
    and, where it takes incomplete calls, the CDR that came after all (`late`), whose event names no change.
    """

    fields: tuple[tuple[str, frozenset[str]], ...]
    takes_late: bool

    def __call__(self, event: Envelope) -> bool:
        """Whether it is taken."""
        return self.takes(event.route, event.body)

    def takes(self, route: str, body: bytes | JsonObject) -> bool:
        """The same for an event of that routing key with these bytes."""
        said: Any = orjson.loads(body) if isinstance(body, bytes) else body
        record = said["data"].get("call")
        if record is None:
            return False
        if self.takes_late and record.get("late") and route.startswith(f"{_LATE}."):
            return True
        changed: Sequence[str] = said["data"].get("changed", ())
        return all(record.get(name) in wanted or f"/{name}" in changed for name, wanted in self.fields)


def filter_of(row: Choice) -> Filter | None:
    """That of a table; None where it takes whatever its queue is bound to."""
    if not row.filtered:
        return None
    fields = (("outcome", frozenset[str](row.outcomes)), ("product", frozenset[str](row.products)))
    return Filter(
        fields=tuple([(name, wanted) for name, wanted in fields if wanted]),
        takes_late=not _BEFORE_IT.isdisjoint(row.events),
    )
