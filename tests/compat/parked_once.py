"""A push is parked once since then, however many of its items are bad; version 7189888 parked it once for each.

So the rows of both are brought to what has to be the same: which pushes are set aside, whole, why, and for how many of
their items. What an operator brings back is made of these rows, once a push, and is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

Row = dict[str, Any]

_QUARANTINE: Final = "callstitch.quarantine.v1"
_PARKED: Final = "park.db: parked "
_RAW: Final = 9  # column of the table
_OTHER: Final = ("park.db: version", "park.db: parked", "replayed by park.quarantine")


def parked_once(rows: Iterable[Row]) -> Iterator[Row]:
    """The rows, with quarantine told by push; what the table of parked messages holds of it comes last."""
    parked: list[Row] = []
    for row in rows:
        what, gave = row["what"], row["gave"]
        if what.startswith(_PARKED) and gave[1] == "quarantine":
            parked.append(json.loads(gave[_RAW]))
        elif what.startswith(_PARKED):
            yield {**row, "gave": gave[:13]}
        elif isinstance(gave, dict) and "dedupe" in gave:
            yield {**row, "gave": {**gave, "dedupe": list(_by_push(gave["dedupe"]))}}
        elif what not in _OTHER:
            yield row
    yield {"what": "quarantine", "gave": _told(parked)}


def _by_push(messages: list[Any]) -> Iterator[Any]:
    quarantined = [message for message in messages if message[1] == _QUARANTINE]
    yield from (message for message in messages if message[1] != _QUARANTINE)
    yield _told([envelope for message in quarantined for envelope in json.loads(message[2])])


def _told(envelopes: Iterable[Row]) -> list[Any]:
    """By push: its envelope, of how many items, how many are bad, and all reasons."""
    told: dict[str, Row] = {}
    for envelope in envelopes:
        body = envelope["body"]
        one = told.setdefault(body["envelope"]["id"], {"bad": 0, "reasons": set(), "envelope": body["envelope"]})
        one["bad"] += body.get("bad", 1)
        one["reasons"] |= {body["reason"]} if "bad" not in body else set(body["reasons"])
        one["of"] = body.get("items")
    return [{**one, "reasons": sorted(one["reasons"])} for _, one in sorted(told.items())]
