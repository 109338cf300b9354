"""A fact as correlate keeps it: who it is, and its body as JSON until somebody looks inside; most steps never do."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import orjson

from schemas.envelope import JsonObject
from schemas.facts import Fact, FactBody, FactKind, decode_body, encode_fact

_HOUR_LENGTH: Final = len("2026-11-21T08")
_OF_A_CALL: Final = frozenset({FactKind.CALL_EVENT, FactKind.CDR})


class KeptFact(Fact):
    """A fact whose body is a row of JSON, or one line of it.

    `of` is what all facts of its session share, `identity` what tells it from them; the moment in it is as it was told.
    Of a call event and a CDR the row's `call` holds only what was told: nothing in it is null.
    """

    of: JsonObject
    identity: JsonObject
    hour: str  # in which it was told: YYYY-MM-DDTHH, UTC
    _row: JsonObject | None
    _line: bytes | None
    _body: FactBody | None = None

    def __init__(
        self, of: JsonObject, identity: JsonObject, *, row: JsonObject | None = None, line: bytes | None = None
    ) -> None:
        told: str = identity["at"]
        own = {"of": of, "identity": identity, "_row": row, "_line": line, "hour": told[:_HOUR_LENGTH]}
        self.__dict__ = {**of, **identity, **own, "at": datetime.fromisoformat(told)}  # a fact is frozen

    @property
    def event_type(self) -> str | None:
        """The timeline type of a call event, without a look at its body."""
        return self.identity.get("type")

    @property
    def row(self) -> JsonObject:
        """The body as JSON."""
        if self._row is None:
            assert self._line is not None
            vars(self)["_row"] = orjson.loads(self._line)
        assert self._row is not None
        return self._row

    @property
    def line(self) -> bytes:
        """The body as one line."""
        return orjson.dumps(self._row) if self._line is None else self._line

    @property
    def body(self) -> FactBody:
        """The body as an object."""
        if self._body is None:
            vars(self)["_body"] = decode_body(self.kind, self.row)
        assert self._body is not None
        return self._body


def kept_fact(row: JsonObject) -> KeptFact:
    """The fact of a row of `encode_fact`; of any other, KeyError, TypeError, ValueError or AttributeError is raised."""
    kind, body = row["kind"], row["body"]
    of = {"source": row["source"], "platform": row["platform"], "session_id": row["session_id"]}
    identity = {"id": row["id"], "kind": kind, "key": row["key"], "fingerprint": row["fingerprint"], "at": row["at"]}
    if kind not in _OF_A_CALL:
        decode_body(kind, body)
        return KeptFact(of, identity, row=body)
    if kind == FactKind.CALL_EVENT:
        identity["type"] = body["type"]
    told = {name: value for name, value in body["call"].items() if value is not None}
    return KeptFact(of, identity, row={**body, "call": told, "raw": body["raw"]})


def kept(fact: Fact) -> KeptFact:
    """The same fact, to be kept."""
    return fact if isinstance(fact, KeptFact) else kept_fact(orjson.loads(encode_fact(fact)))
