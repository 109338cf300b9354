"""What later versions add to what version 7189888 wrote, taken out again: the rest is what it was, byte for byte.

`repaired` is in each record, and in a fact where something was mended. The id of most events about a record is derived
from its bytes, so an event with the field has another id than the same without: the id is derived again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

_ADDED: Final = re.compile(r',\\*"repaired\\*":\[[^\]]*\]')
_EVENT: Final = re.compile(r'\{"id":"(?P<id>[^"]+)",(?P<rest>"specversion".*"revision":(?P<revision>\d+).*)', re.DOTALL)
_SAID: Final = re.compile(  # recordings have an id that is not of their bytes
    r'"type":"callstitch\.(?P<type>call\.\w+|sms\.notified)\.v1".*?"subject":"(?P<subject>[^"]+)"'
)
_NAMESPACE: Final = uuid5(NAMESPACE_URL, "urn:callstitch")


_TABLES_ADDED: Final = {
    "dedupe.db: latest", "dedupe.db: latest_at",  # of numbers whose states have no time
    "correlate.db: purge_key",  # by which it is known what was erased
}  # fmt: skip
_OUTBOX_COLUMNS: Final = 6  # then
_VERSIONS: Final = {"dedupe.db: version": [[3]], "correlate.db: version": [[4]]}  # of the schema then


def without_tables(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows without the tables that the stores had not then, and with the versions that they were."""
    for row in rows:
        if row["what"] not in _TABLES_ADDED:
            yield {**row, "gave": _VERSIONS.get(row["what"], row["gave"])} if row["what"] in _VERSIONS else row


_LAYOUT: Final = {"outbox", "outbox_unsent", "outbox_sent", "outbox_call", "session", "unsent"}


def without_layout(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows without the tables that look otherwise today; of an outbox row whether it was sent, for when."""
    for row in rows:
        what, gave = row["what"], row.get("gave", ())
        if what.startswith("correlate.db: outbox ") and len(gave) == _OUTBOX_COLUMNS:
            yield {**row, "gave": [*gave[:4], int(gave[-1] is not None)]}
        elif what.removeprefix("correlate.db: ") not in _LAYOUT:
            yield row


# A dead letter of what nobody can read is known by its content: by its message's id, one of twenty without was kept.
_BY_CONTENT: Final = {"91806e2e-1275-5edb-83cc-3523728630d8": "47d98dec-cbc7-5d47-8574-259758d15d07"}


class WithoutAdditions:
    """Takes rows of a recorded run, in their order; an event comes before whatever else names its id."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = dict(_BY_CONTENT)

    def __call__(self, row: Mapping[str, Any]) -> Any:
        """The row as the old version would have written it."""
        self._learn(row)
        return self._without(row)

    def _learn(self, value: Any) -> None:
        if isinstance(value, Mapping | list):
            for one in value.values() if isinstance(value, Mapping) else value:
                self._learn(one)
        elif isinstance(value, str) and (event := _EVENT.match(value)) and (said := _SAID.search(value)):
            self._ids[event["id"]] = _event_id(said, event["revision"], _ADDED.sub("", "{" + event["rest"]))

    def _without(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: self._without(one) for name, one in value.items()}
        if isinstance(value, list):
            return [self._without(one) for one in value]
        if not isinstance(value, str):
            return value
        text = _ADDED.sub("", value)
        for new, old in self._ids.items():
            text = text.replace(new, old)
        return text


def _event_id(said: re.Match[str], revision: str, without: str) -> str:
    digest = sha256(without.encode()).hexdigest()
    return str(uuid5(_NAMESPACE, f"{said['subject']}|{said['type']}|{revision}|{digest}"))
