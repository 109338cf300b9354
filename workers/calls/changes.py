"""What a revision changes, as JSON pointers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import orjson

from schemas.envelope import JsonObject
from schemas.privacy.secrets import without_documented

CHANGED_BYTES: Final = 64 * 1024
_ADDED: Final = ("at", "received_at")  # what a record of before 1.1 lacks, and its rows
_ADDED_TO_ROWS: Final = (("cdrs", "record_id", ("billed_minutes",)), ("recordings", "key", ("name", "media_type")))


def published_call(blob: bytes) -> Any:
    """The record of a call as it was published, without the keys and links that an older version told in it."""
    record = orjson.loads(blob)
    for row in (*record["cdrs"], *record["timeline"]):
        row["raw"] = without_documented(row["raw"])
    return record


def as_told_now(before: JsonObject, now: JsonObject) -> JsonObject:
    """A published record with the fields that were not there then, as now: that they came is no change of the call."""
    if "received_at" in before:
        return before
    filled = {"repaired": [], **{name: now[name] for name in _ADDED}, **before}
    for rows, key, names in _ADDED_TO_ROWS:
        of = {row[key]: row for row in now[rows]}
        filled[rows] = [{**{name: of.get(row[key], {}).get(name) for name in names}, **row} for row in before[rows]]
    return filled


def changed(before: JsonObject | None, now: JsonObject) -> list[str]:
    """JSON pointers of what a revision changes, in the order of the new record.

    Each pointer spells the names above it, so a few long names in a `raw` would make megabytes of them: where they are
    more than CHANGED_BYTES, only the fields of the record are named.
    """
    found: list[str] = []
    length = 0
    for pointer in changes(before, now):
        length += len(pointer)
        if length > CHANGED_BYTES:
            old = before or {}
            return [f"/{name}" for name in now if name != "revision" and old.get(name) != now[name]]
        if pointer != "/revision":
            found.append(pointer)
    return found


def changes(old: Any, new: Any, pointer: str = "") -> Iterator[str]:
    """JSON pointers (RFC 6901) of what differs between two JSON values, in the order of the new one."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in {**new, **old}:
            yield from changes(old.get(name), new.get(name), f"{pointer}/{_escaped(name)}")
    elif isinstance(old, list) and isinstance(new, list):
        for n in range(max(len(old), len(new))):
            pair = (old[n] if n < len(old) else None, new[n] if n < len(new) else None)
            yield from changes(*pair, f"{pointer}/{n}")
    elif old != new:
        yield pointer


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
