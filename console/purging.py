"""Erasing one person or one call: found by whoever asks, in every place, and erased by the owner of the state."""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from console.admin_access import asking_owner
from runtime.clock import system_clock
from schemas.errors import Malformed, Misconfigured, Unavailable
from schemas.notification import Notification
from schemas.numbers import canonical
from workers.config import Config
from workers.inflate import inflated
from workers.objects import open_objects
from workers.stores import open_parked, open_reads, open_sessions
from workers.stores.erasing import open_work, recording_places
from workers.stores.places import OF_PEOPLE, Place, Row
from workers.stores.reads import Reads

DIGITS_LEAST: Final = 7
AT_ONCE: Final = 100  # calls of some MiB each, in one transaction
_BETWEEN: Final = r"[\s().-]*"
_BASE64: Final = re.compile(rb'"base64":"([A-Za-z0-9+/=]+)"')
_TIME: Final = re.compile(r"(?<!\d)\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)?(?!\d)")
_MAINLAND: Final = "+86"

Means = Callable[[Place, Row], bool]


@dataclass(kw_only=True)
class Found:
    """What there is of a person or a call: calls and parked messages by id, and events of no call.

    `waiting`: why some calls cannot be erased yet. `places`: where the recordings of the others lie, by call.
    """

    calls: set[str] = field(default_factory=set)
    events: set[str] = field(default_factory=set)
    parked: set[str] = field(default_factory=set)
    waiting: dict[str, str] = field(default_factory=dict)
    places: dict[str, list[str]] = field(default_factory=dict)

    @property
    def nothing(self) -> bool:
        """Whether there is nothing at all."""
        return not (self.calls or self.events or self.parked)


@dataclass(frozen=True, kw_only=True)
class Erased:
    """What was done: how many of each, and by id what has to wait and why.

    `absent`: where a recording of it should have been and was not.
    """

    calls: int
    events: int
    parked: int
    waiting: Mapping[str, str]
    recordings: int = 0
    absent: Sequence[str] = ()


def of_number(number: str) -> Means:
    """What holds that number, in whatever spelling and in whatever text.

    Raises:
        ValueError: it has too few digits to be one.
    """
    known = canonical(number)
    digits = re.sub(r"\D", "", known)
    if len(digits) < DIGITS_LEAST:
        raise ValueError("too few digits")
    if known.startswith(_MAINLAND):
        start, rest = rf"(?:(?:\+|00)?{_BETWEEN.join('86')}{_BETWEEN}0?|0)?{_BETWEEN}", digits.removeprefix("86")
    else:
        start, rest = r"(?:\+|00)?", digits
    spelled = re.compile(rf"(?<!\d){start}{_BETWEEN.join(rest)}(?!\d)")
    return lambda _, row: any(_holds(text, spelled) for text in _texts(row))


def _holds(text: str, spelled: re.Pattern[str]) -> bool:
    """Whether it stands there, and not within a time, whose digits are written as a number may be."""
    found = [match.span() for match in spelled.finditer(text)]
    times = [match.span() for match in _TIME.finditer(text)] if found else []
    return any(not any(start <= first and last <= end for start, end in times) for first, last in found)


def of_call(call_id: str) -> Means:
    """What is of that call: its session, its events, its tombstone, and what was set aside and names it.

    Raises:
        ValueError: it names no source or no session.
    """
    source, _, session = call_id.partition(":")
    if not source or not session:
        raise ValueError("no whole id")
    spellings = {session, orjson.dumps(session)[1:-1].decode()}  # and as it stands in JSON that is cut off
    either = "|".join(map(re.escape, spellings))
    before, after = rf"""(?:^|[|"'=>]|(?<!\w){re.escape(source)}:)""", r"""(?:$|[|"'&<;,\\])"""
    named = re.compile(rf"{before}\s*(?:{either})\s*{after}")

    def means(place: Place, row: Row) -> bool:
        if place != "parked":
            return row.call_id == call_id
        parked = orjson.loads(row.text)
        return parked["source"] == source and any(
            leaf == session if number else named.search(leaf) for leaf, number in _leaves(parked["body"])
        )

    return means


async def find(config: Config, means: Means) -> Found:
    """Everything of the list of places that is meant.

    Raises:
        Misconfigured, Unavailable: see workers.stores.reads.
    """
    found = Found()
    async with open_reads(config.store) as reads:
        for place in OF_PEOPLE:
            async for row in reads.rows(place):
                if means(place, row):
                    _add(found, place, row)
        for call_id in sorted(found.calls):
            await _look(found, reads, call_id)
    return found


def _add(found: Found, place: Place, row: Row) -> None:
    if place == "parked":
        found.parked.add(row.id)
    elif row.call_id:
        found.calls.add(row.call_id)
    else:
        found.events.add(row.id)


async def _look(found: Found, reads: Reads, call_id: str) -> None:
    session = await reads.session(call_id)
    if session is None:
        return
    unsent = any(not row["sent"] for row in session["outbox"])
    now = datetime.now(UTC)
    changed_at = datetime.fromisoformat(session["updated_at"])
    why = open_work(session["state"], due=session["due_at"] is not None, unsent=unsent, changed_at=changed_at, now=now)
    if why is not None:
        found.waiting[call_id] = why
    else:
        found.places[call_id] = recording_places(session["state"])


async def erase(config: Config, found: Found) -> Erased:
    """Delete its recordings, then have it erased by the owner of the state; what has work under way is left as it is.

    A call whose recordings cannot be deleted is left whole, since only its session knows where they lie.

    Raises:
        Misconfigured: the object store cannot be used.
        Unavailable: the store is away, or nobody runs the stages that own it.
    """
    waiting = dict(found.waiting)  # their recordings were not looked for: what has ended meanwhile goes the next time
    gone, absent = await _delete_recordings(config, found, waiting)
    calls, events, parked = sorted(found.calls - waiting.keys()), sorted(found.events), sorted(found.parked)
    emptied = 0
    directory = config.store.directory
    if directory is None:
        async with open_sessions(config.store, clock=system_clock()) as (sessions, clock):
            waiting |= await sessions.purge(calls, [], clock())
            for some in _some(events):
                waiting |= await sessions.purge([], some, clock())
        async with open_parked(config.store) as store:
            for some in _some(parked):
                emptied += await store.purge(some)
    else:
        async with asking_owner(config, directory) as ask:
            for body in [{"calls": some, "events": []} for some in _some(calls)] + [
                {"calls": [], "events": some} for some in _some(events)
            ]:
                waiting |= (await ask("purge_calls", body, who="the correlate stage"))["waiting"]
            for some in _some(parked):
                emptied += (await ask("purge_parked", {"ids": some}, who="the park stage"))["emptied"]
    if emptied < len(parked):
        waiting[f"{len(parked) - emptied} parked message(s)"] = "they are going back"
    return Erased(
        calls=len(found.calls - waiting.keys()),
        events=len(found.events - waiting.keys()),
        parked=emptied,
        waiting=waiting,
        recordings=gone,
        absent=absent,
    )


async def _delete_recordings(config: Config, found: Found, waiting: dict[str, str]) -> tuple[int, list[str]]:
    """How many went, and those that were not there; `waiting` is told of calls whose recordings stay."""
    gone, absent = 0, list[str]()
    told = {call_id: places for call_id, places in found.places.items() if places}
    if not told:
        return gone, absent
    directory = config.objects.directory
    if directory is not None and not directory.is_dir():
        raise Misconfigured(f"objects: there is no directory {directory} here: run this where the recordings lie")
    objects = open_objects(config.objects)
    for call_id, places in told.items():
        try:
            for place in places:
                if await objects.delete(place):
                    gone += 1
                else:
                    absent.append(place)
        except Unavailable as error:
            waiting[call_id] = f"its recordings cannot be deleted: {error}"
    return gone, absent


def _some(ids: Sequence[str]) -> list[Sequence[str]]:
    return [ids[start : start + AT_ONCE] for start in range(0, len(ids), AT_ONCE)]


def _texts(row: Row) -> list[str]:
    """The text of a row, and of a push within it that is no text: gzip, or another encoding whose digits are ASCII."""
    texts = [row.text.decode(errors="replace"), row.call_id or ""]
    texts += [_unpacked(match[1]) for match in _BASE64.finditer(row.text)]
    return [text if text.isascii() else unicodedata.normalize("NFKC", text) for text in texts]


def _unpacked(packed: bytes) -> str:
    try:
        body = base64.b64decode(packed)
        body = inflated(Notification(path="", remote="", content_type="", headers={}, body=body)).body
    except binascii.Error:
        return ""
    except Malformed:
        pass
    return body.decode(errors="replace")


def _leaves(value: Any) -> Iterator[tuple[str, bool]]:
    """Every text in JSON, in JSON within its texts too, and every number that is long enough to be an id."""
    todo = [value]
    while todo:
        one = todo.pop()
        if isinstance(one, dict):
            if isinstance(packed := one.get("base64"), str):
                todo.append(_unpacked(packed.encode()))
            todo += one.values()
        elif isinstance(one, list):
            todo += one
        elif isinstance(one, str):
            if one.lstrip()[:1] in ("{", "[") and (inner := _json(one)) is not None:
                todo.append(inner)
            else:
                yield one, False
        elif isinstance(one, int) and len(digits := str(one)) >= DIGITS_LEAST:
            yield digits, True


def _json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
