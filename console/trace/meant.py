"""Which call is meant by what an operator has in hand: an id of ours or of the platform, a number, in any spelling.

Ids of calls and events are found by indexes, and the end of a call's id by reading all ids. Numbers, record ids and
binding ids have no index: the newest SEARCHED calls are searched, and where there are more, that is said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from schemas.numbers import canonical, same_number
from workers.stores.reads import CallReads, Match

SEARCHED: Final = 100_000
LISTED: Final = 20
_READ: Final = 10 * LISTED  # of what looks alike, before it is read closely
_NUMBER: Final = re.compile(r"\+?[\d\s().-]+")
_LEAST_DIGITS: Final = 5  # a service number; of fewer digits anything is full
_BETWEEN: Final = "[ ().-]*"
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_IDS: Final = frozenset({"record_id", "binding_id"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Meant:
    """Ids of calls that may be meant, newest first where several were found by what they hold; `matches` are these.

    `back_to`: not every call was searched, and this is when the last of those changed that were.
    """

    calls: Sequence[str] = ()
    matches: Sequence[Match] = ()
    back_to: str | None = None


def is_uuid(wanted: str) -> bool:
    """Whether it is spelled as the ids of events are."""
    return _UUID.fullmatch(wanted.lower()) is not None


async def meant(reads: CallReads, wanted: str, sources: Iterable[str]) -> Meant:
    """The calls that may be meant by these words."""
    for call_id in (wanted, *(f"{source}:{wanted}" for source in sources)):
        if await reads.session(call_id) is not None:
            return Meant(calls=[call_id])
    if is_uuid(wanted) and (of_event := await reads.call_of(wanted.lower())):
        return Meant(calls=[of_event])
    found = await _by_number(reads, wanted)
    if found:
        return await _told(reads, found)
    if ending := await reads.calls(wanted):
        return Meant(calls=ending)
    return await _told(reads, await _by_record(reads, wanted))


async def _told(reads: CallReads, found: Sequence[Match]) -> Meant:
    back_to = await reads.back_to(SEARCHED)
    return Meant(calls=[one.id for one in found], matches=found, back_to=back_to)


async def _by_number(reads: CallReads, wanted: str) -> Sequence[Match]:
    digits = re.sub(r"\D", "", canonical(wanted.strip()))
    if not _NUMBER.fullmatch(wanted.strip()) or len(digits) < _LEAST_DIGITS:
        return []
    own = digits.removeprefix("86") if canonical(wanted.strip()).startswith("+86") else digits
    spelled = rf"(?:^|[^0-9])(?:(?:\+|00)?86{_BETWEEN})?(?:0|00|\+)?{_BETWEEN.join(own)}(?:[^0-9]|$)"
    found = await reads.holding(own[-4:].encode(), spelled, most=SEARCHED, limit=_READ)
    return _of_these(found, lambda _, leaf: same_number(leaf, wanted.strip()))


async def _by_record(reads: CallReads, wanted: str) -> Sequence[Match]:
    found = await reads.holding(orjson.dumps(wanted), "", most=SEARCHED, limit=_READ)
    return _of_these(found, lambda name, leaf: name in _IDS and leaf == wanted)


def _of_these(found: Sequence[Match], means: Callable[[str, str], bool]) -> Sequence[Match]:
    """Those of which one field says just that, and not more."""
    chosen = [one for one in found if any(means(*leaf) for fact in one.state["facts"] for leaf in _leaves(fact))]
    return sorted(chosen, key=lambda one: one.updated_at, reverse=True)


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every text and integer in JSON, with the name of its field."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, key)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item, name)
    elif isinstance(value, (str, int)) and not isinstance(value, bool):
        yield name, str(value)
