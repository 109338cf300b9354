"""The later half of the ledger: what each store counts of what was passed on, kept, said and parked.

See docs/design.md section 8. `Books` is asked by source and hour; `strays` names the very facts when counts of one hour
differ.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from workers.stores.passage import HourCount, Kept, Pair, Told, hour_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Revisions of the sessions that began in an hour, and their events in the outbox."""

    source: str
    hour: str
    revisions: int
    made: int
    sent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedCount:
    """Parked messages by what they were: `state` is parked, wanted (it goes back) or replayed."""

    source: str
    hour: str
    box: str
    stage: str
    kind: str
    state: str
    count: int


class Books(Protocol):
    """What a store tells of its counts; what an older program wrote has no source or hour and is told as unknown.

    Raises:
        Misconfigured: no stage has ever opened its tables there, or the server refuses us.
        Unavailable: the server does not answer.
    """

    def passed(self, since: datetime) -> Iterable[HourCount]:
        """Versions that dedupe has claimed for sessions, told first at `since` or later."""
        ...

    def arrived(self) -> Iterable[HourCount]:
        """Versions that sessions hold; of source None: the last hour in which an older program folded."""
        ...

    def said(self) -> Iterable[Said]:
        """What correlate had to say, and what it has sent."""
        ...

    def unsaid(self, source: str, hour: str, limit: int) -> Iterable[tuple[str, int, int]]:
        """Calls of that hour whose revisions are not their events: id, revisions, events."""
        ...

    def parked(self) -> Iterable[ParkedCount]:
        """What park keeps; nothing where it never ran."""
        ...

    def told(self, source: str, since: datetime, until: datetime) -> Iterable[Told]:
        """The claims of one span."""
        ...

    def kept(self, source: str, since: datetime) -> Iterable[Kept]:
        """What the sessions hold that changed at `since` or later."""
        ...

    def parked_pairs(self, source: str) -> Iterable[Pair]:
        """Versions that wait in dead letters."""
        ...

    def claimed(self, pairs: Collection[Pair]) -> Iterable[Pair]:
        """Those of the pairs that dedupe has claimed, whenever that was."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Strays:
    """Facts that were passed on and are nowhere, and facts that are in a session once too often."""

    lost: tuple[Told, ...]
    doubled: tuple[Kept, ...]


def strays(books: Books, source: str, since: datetime, until: datetime) -> Strays:
    """Compare one source and span fact by fact.

    A session that holds a fact was changed no earlier than the fact was told, so `kept` finds it. Whatever moves a fact
    between hours (an earlier telling, a telling after its claim was forgotten) does not matter here.
    """
    told = {one.pair: one for one in books.told(source, since, until)}
    lost = dict(told)
    holders: dict[Pair, str] = {}
    doubled: list[Kept] = []
    unknown: dict[Pair, Kept] = {}
    for one in books.kept(source, since):
        lost.pop(one.pair, None)
        if hour_of(one.at) != hour_of(since):
            continue
        if holders.setdefault(one.pair, one.call_id) != one.call_id:
            doubled.append(one)
        elif one.pair not in told:
            unknown[one.pair] = one
    if lost:
        for pair in books.parked_pairs(source):
            lost.pop(pair, None)
    for pair in list(books.claimed(tuple(unknown))):
        unknown.pop(pair, None)
    return Strays(lost=tuple(lost.values()), doubled=(*doubled, *unknown.values()))
