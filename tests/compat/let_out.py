"""What version 7189888 let out and no later one does: platform keys and signed links in `raw`.

They are taken out of what was recorded, by these names and nowhere but in a `raw`; an event's id that is derived of its
bytes is derived again. A link's signature stands nowhere else, but in the work order for its recording.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

import orjson

NAMES: Final = (
    "appKey", "pool_key", "partner_key", "partnerKey",
    "recordUrl", "record_url", "ring_record_url", "recordFileDownloadUrl",
    "no_record_url",  # the recipe's own, for a CDR whose link nobody is to fetch
)  # fmt: skip
_BY_BYTES: Final = re.compile(r"callstitch\.(call\.(?:completed|incomplete|amended)|sms\.notified)\.v1")
_POINTER: Final = re.compile(rf".*/raw/(.*/)?({'|'.join(NAMES)})")  # of what an amendment changes
_NAMESPACE: Final = uuid5(NAMESPACE_URL, "urn:callstitch")
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def kept_in(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows as if nothing had been let out; an event comes before whatever else names its id."""
    ids: dict[str, str] = {}
    for row in rows:
        yield {name: _kept_in(one, ids) for name, one in row.items()}


def record_without(record: Any) -> Any:
    """A record without what was let out in it, where it was said before the upgrade."""
    return _without(record, {})


def _kept_in(value: Any, ids: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _kept_in(one, ids) for name, one in value.items()}
    if isinstance(value, list):
        return [_kept_in(one, ids) for one in value]
    if not isinstance(value, str):
        return value
    if value.startswith(("{", "[")) and any(name in value for name in NAMES):
        value = "\n".join(_line(line, ids) for line in value.split("\n"))  # a session is several lines
    return _UUID.sub(lambda found: ids.get(found[0], found[0]), value)


def _line(text: str, ids: dict[str, str]) -> str:
    return orjson.dumps(_without(orjson.loads(text), ids)).decode()


def _without(value: Any, ids: dict[str, str]) -> Any:
    """JSON without them; of an event it learns which id it has then."""
    if isinstance(value, list):
        return [_without(one, ids) for one in value]
    if isinstance(value, str) and value.startswith('{"id":"'):
        return _kept_in(value, ids)
    if not isinstance(value, dict):
        return value
    found = {name: _raw(one) if name == "raw" else _without(one, ids) for name, one in value.items()}
    if "changed" in found:
        found["changed"] = [pointer for pointer in found["changed"] if not _POINTER.fullmatch(pointer)]
    if "specversion" in found and (kind := _BY_BYTES.fullmatch(found["type"])):
        said = orjson.dumps({name: one for name, one in found.items() if name != "id"})
        discriminator = f"{found['revision']}|{sha256(said).hexdigest()}"
        ids[found["id"]] = str(uuid5(_NAMESPACE, f"{found['subject']}|{kind[1]}|{discriminator}"))
    return found


def _raw(value: Any) -> Any:
    """Of a call or a fact the fields of the item; of an SMS those of each push."""
    if not isinstance(value, dict):
        return value
    return {name: _raw(one) for name, one in value.items() if name not in NAMES}
