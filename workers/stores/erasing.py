"""What is left of a call or a message that was erased: hashes, counts and times, by which all else goes on as before.

A fact of it that comes again (pushed again, replayed, told late) finds the tombstone under the keyed id and becomes one
more ghost: no session, no event. Ghosts count and compare in the ledger as the facts that they were.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, Final

import orjson

from schemas.dialect.items import folds
from schemas.envelope import JsonObject, Kind
from schemas.fact_json import IdentityJson, SessionJson
from schemas.facts import FactKind
from workers.calls.kept import KeptFact
from workers.calls.session import Session, fold
from workers.calls.step import Step
from workers.stores.ledger import ghost_key

FETCH_ENDS: Final = timedelta(days=1)  # a recording that was ordered has been stored, has failed or died by then
GHOSTS_MOST: Final = 1000
_DIGEST_BYTES: Final = 16


def keyed_id(call_id: str, key: bytes) -> str:
    """The id under which an erased call is known; without the key of its store nobody gets from one to the other."""
    source = call_id.partition(":")[0]
    return f"{source}:erased:{blake2b(call_id.encode(), key=key, digest_size=_DIGEST_BYTES).hexdigest()}"


def ghosts(facts: Iterable[KeptFact], keyed: str) -> list[KeptFact]:
    """What is left of the facts of that call: of those that the ledger counts who they are, hashed, and when."""
    return [_ghost(fact, keyed) for fact in facts if folds(fact.key)]


def _ghost(fact: KeptFact, keyed: str) -> KeptFact:
    source, _, session_id = keyed.partition(":")
    of: SessionJson = {"source": source, "platform": fact.of["platform"], "session_id": session_id}
    identity: IdentityJson = {
        "id": "",
        "kind": fact.kind,
        "key": ghost_key(fact.source, fact.key),
        "fingerprint": fact.fingerprint,
        "at": fact.identity["at"],
    }
    return KeptFact(of, identity, row={})


def ghost_session(session: Session, keyed: str) -> Session:
    """What is left of a session: nothing that it said, but that it said it."""
    facts = fold({}, ghosts(session.facts.values(), keyed))
    return Session(facts=facts, revision=session.revision, completed=session.completed, incomplete=session.incomplete)


def ghost_step(session: Session | None, news: Sequence[KeptFact]) -> Step:
    """An erased call says nothing any more. What comes beyond GHOSTS_MOST is not counted: no call has so many."""
    old = session or Session(facts={})
    return Step(session=old.having(facts=fold(old.facts, news) if len(old.facts) < GHOSTS_MOST else old.facts))


def open_work(state: JsonObject, *, due: bool, unsent: bool, changed_at: datetime, now: datetime) -> str | None:
    """Why a session cannot be erased yet; None when nothing of it is under way. `state`: see `state_of`."""
    if unsent:
        return "an event or an order of it was not sent yet"
    if due:
        return "it waits for a deadline"
    ended = {fact["body"]["key"] for fact in state["facts"] if fact["kind"] == FactKind.RECORDING}
    if set(state["ordered"]) - ended and now - changed_at < FETCH_ENDS:
        return "a recording of it is being fetched"
    return None


def recording_places(state: JsonObject) -> list[str]:
    """Where the object store keeps the recordings of a session."""
    bodies = [fact["body"] for fact in state["facts"] if fact["kind"] == FactKind.RECORDING]
    return [body["place"] for body in bodies if body.get("place")]


def emptied(raw: bytes) -> bytes:
    """What is left of a parked message: what the ledger counts and compares it by."""
    parked = orjson.loads(raw)
    body = parked["body"] if isinstance(parked["body"], dict) else {}
    inner = body.get("envelope")
    said: JsonObject = {name: body[name] for name in ("reason", "stage") if name in body}
    if isinstance(inner, dict):
        said["envelope"] = {**_outside(inner), "body": _ghost_body(inner)}
    return orjson.dumps({**_outside(parked), "body": "" if parked["kind"] == Kind.EVENT else said})


def _outside(envelope: Mapping[str, Any]) -> JsonObject:
    kept = ("id", "kind", "source", "at", "attempt", "route")
    return {**{name: envelope[name] for name in kept if name in envelope}, "trace": ""}


def _ghost_body(inner: JsonObject) -> JsonObject | str:
    fact = inner.get("body")
    if inner.get("kind") == Kind.EVENT:
        return ""
    if not isinstance(fact, dict) or not {"source", "key", "fingerprint"} <= fact.keys():
        return {}
    key = ghost_key(fact["source"], fact["key"]) if folds(str(fact["key"])) else ""
    return {"source": fact["source"], "key": key, "fingerprint": fact["fingerprint"]}
