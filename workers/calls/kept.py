"""A fact as correlate keeps it: who it is, and its body as JSON until somebody looks inside; most steps never do."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

import orjson

from schemas.envelope import JsonObject
from schemas.fact_json import FactJson, IdentityJson, SessionJson, check_body
from schemas.facts import FactKind
from schemas.privacy.secrets import without_documented
from schemas.vocabulary import Repair, TimelineType

_HOUR_LENGTH: Final = len("2026-11-21T08")
_OF_A_CALL: Final = frozenset({FactKind.CALL_EVENT, FactKind.CDR})


class KeptFact:
    """A fact whose body is a row of JSON, or one line of it that becomes a row when it is looked at.

    `of` is what all facts of its session share, `identity` what tells it from them, with its moment as it was written.
    `at` is that moment, `hour` its hour in UTC (YYYY-MM-DDTHH). `call` in the row of a call event or of a CDR holds no
    nulls.
    """

    __slots__ = ("_line", "_row", "at", "fingerprint", "hour", "identity", "key", "kind", "of")

    def __init__(self, of: SessionJson, identity: IdentityJson, *, row: Any = None, line: bytes | None = None) -> None:
        written = identity["at"]
        self.of = of
        self.identity = identity
        self.kind = identity["kind"]
        self.key = identity["key"]
        self.fingerprint = identity["fingerprint"]
        self.at = datetime.fromisoformat(written)
        self.hour = written[:_HOUR_LENGTH]
        self._row = row
        self._line = line

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, KeptFact):
            return NotImplemented
        return (self.of, self.identity, self.row) == (other.of, other.identity, other.row)

    __hash__ = None  # type: ignore[assignment]  # the row is a dict

    @property
    def source(self) -> str:
        """The source it came from."""
        return self.of["source"]

    @property
    def call_id(self) -> str:
        """The id of the record it belongs to."""
        return f"{self.of['source']}:{self.of['session_id']}"

    @property
    def repaired(self) -> list[Repair]:
        """What was mended in it while it was read."""
        return self.identity.get("repaired", [])

    @property
    def event_type(self) -> TimelineType | None:
        """The timeline type of a call event, else None; without a look at its body."""
        return self.identity.get("type")

    @property
    def waits_from(self) -> datetime:
        """From when on waits are counted, and by what versions are ordered: its moment, by no clock that is ahead."""
        seen = self.identity.get("seen")
        return self.at if seen is None else datetime.fromisoformat(seen)

    def waiting_from(self, moment: datetime) -> KeptFact:
        """The same fact, first met at that moment."""
        identity = self.identity.copy()
        identity["seen"] = moment.isoformat()
        return KeptFact(self.of, identity, row=self._row, line=self._line)

    def seen_at(self, now: datetime) -> None:
        """Note the clock by which its session waits: that of the door it came through is ahead."""
        self.identity["seen"] = now.isoformat()

    @property
    def row(self) -> Any:
        """The body as JSON: `EventJson`, `CdrJson` and so on, by its kind."""
        if self._row is None:
            assert self._line is not None
            self._row = _without_secrets(orjson.loads(self._line))
        return self._row

    @property
    def line(self) -> bytes:
        """The body as one line."""
        if self._line is None:
            self._line = orjson.dumps(self._row)
        return self._line


def kept_fact(row: FactJson) -> KeptFact:
    """The fact of a row of `encode_fact`.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: the row is no fact.
    """
    kind, body = row["kind"], row["body"]
    of: SessionJson = {"source": row["source"], "platform": row["platform"], "session_id": row["session_id"]}
    identity: IdentityJson = {
        "id": row["id"],
        "kind": kind,
        "key": row["key"],
        "fingerprint": row["fingerprint"],
        "at": row["at"],
    }
    if "repaired" in row:
        identity["repaired"] = list(row["repaired"])
    if kind not in _OF_A_CALL:
        check_body(kind, body)
        return KeptFact(of, identity, row=_without_secrets(body))
    if kind == FactKind.CALL_EVENT:
        identity["type"] = body["type"]
    reported = {name: value for name, value in body["call"].items() if value is not None}
    return KeptFact(of, identity, row={**body, "call": reported, "raw": without_documented(body["raw"])})


def _without_secrets(row: JsonObject) -> JsonObject:
    """A body that an older version may have left, which kept what must not leave."""
    raw = row.get("raw")
    if raw:
        row["raw"] = without_documented(raw)
    return row


def repaired_in(facts: Iterable[KeptFact], *, cut: bool = False) -> list[Repair]:
    """What was mended in any of them, sorted; `cut`: something is left out besides."""
    found: set[Repair] = {"cut"} if cut else set()
    found |= {word for fact in facts for word in fact.identity.get("repaired", ())}
    return sorted(found)
