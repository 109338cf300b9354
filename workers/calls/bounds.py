"""How much a session holds, whoever fills it: so many facts of each kind, and so many bytes (docs/design.md section 5).

What is left out does not depend on the order of the telling: facts of a kind stand in the order of their tellings, and
from the first that finds no room on nothing is taken. First the `raw` of those that came late goes, then they go
themselves, as dead letters. Each kind has room of its own, so that no flood of events takes that of a CDR.

It is the same in any order because what stands before a fact only ever grows: the size of a `raw` that went is
remembered, and so is the place from which on nothing is taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import orjson

from schemas.envelope import Envelope, JsonObject, Kind
from schemas.facts import FactKind, KindOfFact
from workers.calls.kept import KeptFact
from workers.calls.session import Session, fold, version_key

KIB: Final = 1024
LEFT_OUT: Final = "its session holds too many facts"
_FEW: Final = 20  # facts of any kind that have room in any case, with all that they hold
_LITTLE: Final = 64 * KIB

Place = tuple[datetime, str]


class Room(NamedTuple):
    """What a session holds of one kind: so many facts, bytes of their fields, and bytes of their `raw`."""

    facts: int
    fields: int
    raw: int


# A call has some ten facts of half a KiB. A record is some of these bytes twice (the first CDR is its top line), and
# an event at most 4 MiB: a broker takes 16 MiB by default, and each revision of a call carries all of it.
ROOMS: Final[Mapping[KindOfFact, Room]] = {
    FactKind.CDR: Room(100, 512 * KIB, 256 * KIB),
    FactKind.CALL_EVENT: Room(300, 256 * KIB, 256 * KIB),
    FactKind.ANNOUNCEMENT: Room(20, 128 * KIB, 64 * KIB),
    FactKind.RECORDING: Room(200, 128 * KIB, 0),
    FactKind.SMS: Room(50, 256 * KIB, 256 * KIB),
    FactKind.DECISION: Room(100, 128 * KIB, 0),
}


class Held(NamedTuple):
    """A session that has taken news, those of the news that found no room, and what it gave back to take others."""

    session: Session
    left_out: tuple[KeptFact, ...] = ()
    given_back: tuple[KeptFact, ...] = ()


def hold(session: Session, news: Sequence[KeptFact]) -> Held:
    """The session with the news folded in, as far as there is room."""
    facts = fold(session.facts, news)
    if not session.cut and len(facts) <= _FEW and sum([len(fact.line) for fact in facts.values()]) <= _LITTLE:
        return Held(session.having(facts=facts))
    kept, full = _bounded(facts, session.full)
    out = [fact for version, fact in facts.items() if version not in kept]
    known = {fact.identity["id"] for fact in session.facts.values()}
    return Held(
        session.having(facts=kept, full=full, cut=session.cut or bool(full) or any(map(_is_thin, kept.values()))),
        left_out=tuple([fact for fact in out if fact.identity["id"] not in known]),
        given_back=tuple([fact for fact in out if fact.identity["id"] in known]),
    )


def sent_back(fact: KeptFact, *, trace: str) -> Envelope:
    """A fact that had to go, on its way to correlate again, where it finds no room and becomes a dead letter."""
    identity: JsonObject = {name: value for name, value in fact.identity.items() if name not in ("type", "seen")}
    body = {**fact.of, **identity, "body": fact.row}
    return Envelope(id=identity["id"], kind=Kind.FACT, source=fact.source, at=fact.at, body=body, trace=trace)


def _bounded(
    facts: Mapping[str, KeptFact], full: Mapping[KindOfFact, Place]
) -> tuple[dict[str, KeptFact], dict[KindOfFact, Place]]:
    by_kind: dict[KindOfFact, list[KeptFact]] = {}
    for fact in facts.values():
        by_kind.setdefault(fact.kind, []).append(fact)
    kept: dict[str, KeptFact] = {}
    now_full = dict(full)
    for kind, of_kind in by_kind.items():
        of_kind.sort(key=_place)
        taken = _taken(of_kind, ROOMS[kind], full.get(kind))
        kept.update((version_key(fact), fact) for fact in taken)
        if len(taken) < len(of_kind):
            first_out = _place(of_kind[len(taken)])
            now_full[kind] = min(first_out, full.get(kind, first_out))
    return {version: kept[version] for version in facts if version in kept}, now_full


def _taken(facts: Sequence[KeptFact], room: Room, full: Place | None) -> list[KeptFact]:
    """Those at the front that find room; the first always does, being no larger than a fact may be."""
    taken: list[KeptFact] = []
    fields = raw = 0
    for fact in facts:
        whole, own = _sizes(fact)
        fields, raw = fields + own, raw + whole
        beyond = len(taken) >= room.facts or fields > room.fields or (full is not None and _place(fact) >= full)
        if taken and beyond:
            break
        taken.append(fact if raw <= room.raw or not whole else _thin(fact, whole))
    return taken


def _sizes(fact: KeptFact) -> tuple[int, int]:
    """Bytes of its `raw` as it was, and of all else."""
    if "raw" not in fact.row:
        return 0, len(fact.line)
    there = len(orjson.dumps(fact.row["raw"]))
    return fact.identity.get("raw_bytes", there), len(fact.line) - there


def _thin(fact: KeptFact, whole: int) -> KeptFact:
    if _is_thin(fact):
        return fact
    identity = fact.identity.copy()
    identity["raw_bytes"] = whole
    identity["repaired"] = sorted({*fact.repaired, "cut"})
    return KeptFact(fact.of, identity, row={**fact.row, "raw": {}})


def _is_thin(fact: KeptFact) -> bool:
    return "raw_bytes" in fact.identity


def _place(fact: KeptFact) -> Place:
    return fact.at, version_key(fact)
