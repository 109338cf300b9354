"""Turns calls into posts: which bodies, merged how, in which order; decided before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from random import Random
from typing import Literal

from console.emulator import payloads
from console.emulator.calls import Call
from console.emulator.settings import EmulatorSettings

Kind = Literal["event", "cdr"]
MERGED_AT_MOST = 50  # records a POST, huawei-privatenumber.md section 0
MERGE_SIZES = (1, 1, 1, 2, 3, 5, 8, 13, MERGED_AT_MOST)
LATER_MINUTES = (1, 4, 9)
AMENDED_MINUTES = (1, 4, 9, 24)
AMENDED_BY = timedelta(seconds=3)
TIE_BREAK = timedelta(milliseconds=10)  # keeps events of one second in their order


@dataclass(frozen=True)
class Item:
    """One event or CDR of a call; a corrected CDR has the same name and another version."""

    call: int
    name: str
    version: int
    kind: Kind
    content: payloads.Content


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A post without its number; `moment` gives the order only, nobody waits for it."""

    moment: datetime
    items: tuple[Item, ...]
    pause_minutes: int = 0
    needs: tuple[Item, ...] = ()
    alone: bool = False  # never merged with neighbours


@dataclass(frozen=True, kw_only=True)
class Push:
    """One POST: sent when every earlier one of its calls is over, and skipped unless `needs` were accepted."""

    n: int
    kind: Kind
    items: tuple[Item, ...]
    needs: tuple[Item, ...]
    pause_minutes: int
    again: bool

    @cached_property
    def calls(self) -> tuple[int, ...]:
        """The calls that it speaks of, each once."""
        return tuple(dict.fromkeys(item.call for item in self.items))

    def body(self, *, app_key: str) -> bytes:
        """The bytes to post, the same at every attempt."""
        if self.kind == "event":
            return payloads.encode(self.items[0].content)
        return payloads.encode(payloads.fee([item.content for item in self.items], app_key=app_key))


def plan(settings: EmulatorSettings, calls: Sequence[Call]) -> list[Push]:
    """All posts in their order; the same settings and calls give the same list."""
    rng = Random(f"{settings.seed}:plan")
    events = [draft for call in calls for draft in _events(settings, rng, call)]
    singles = [draft for call in calls for draft in _cdrs(settings, rng, call)]
    first = events + _merge(rng, singles)
    later = [_again(rng, draft) for draft in first if rng.random() < settings.duplicate_share]
    later += _remerge(rng, [draft for draft in singles if rng.random() < settings.remerge_share], first)
    later += _amend(settings, rng, calls, first)
    return _number(first + later)


def _events(settings: EmulatorSettings, rng: Random, call: Call) -> list[Draft]:
    """The events of a call nearly in order; alerting may never be sent."""
    lost = {"alerting"} if rng.random() < settings.lost_alerting_share else set()
    steps = [step for step in call.times if step not in lost]
    moments = [call.times[step] + place * TIE_BREAK for place, step in enumerate(steps)]
    if rng.random() < settings.shuffle_share:
        place = rng.randrange(len(steps) - 1)
        moments[place], moments[place + 1] = moments[place + 1], moments[place]
    return [
        Draft(moment=moment, items=(Item(call.number, step, 1, "event", payloads.event(call, step)),))
        for step, moment in zip(steps, moments, strict=True)
    ]


def _cdrs(settings: EmulatorSettings, rng: Random, call: Call) -> list[Draft]:
    """The CDRs of a call, seconds after its end or just before the disconnect event."""
    ended = call.times["disconnect"]
    overtakes = rng.random() < settings.cdr_first_share
    moment = ended - timedelta(seconds=0.5) if overtakes else ended + timedelta(seconds=rng.randint(1, 8))
    item = Item(call.number, call.record_id, 1, "cdr", payloads.cdr(call))
    drafts = [Draft(moment=moment, items=(item,), alone=overtakes)]
    if call.ending.outcome == "answered" and rng.random() < settings.redial_share:
        item = Item(call.number, call.redial_id, 1, "cdr", payloads.redial_cdr(call))
        drafts.append(Draft(moment=ended + timedelta(seconds=rng.randint(0, 9)), items=(item,)))
    return drafts


def _merge(rng: Random, singles: list[Draft]) -> list[Draft]:
    """CDRs merged with their neighbours in time; one that overtakes its disconnect event goes alone."""
    waiting = sorted(singles, key=lambda draft: draft.moment)
    alone = [draft for draft in waiting if draft.alone]
    return alone + _pack(rng, [draft for draft in waiting if not draft.alone])


def _pack(rng: Random, singles: Sequence[Draft]) -> list[Draft]:
    packed = []
    left = list(singles)
    while left:
        size = rng.choice(MERGE_SIZES)
        taken, left = left[:size], left[size:]
        items = tuple(draft.items[0] for draft in taken)
        packed.append(Draft(moment=max(draft.moment for draft in taken), items=items))
    return packed


def _again(rng: Random, draft: Draft) -> Draft:
    """The same body once more although 200 was answered."""
    return _later(rng, draft.moment, draft.items)


def _remerge(rng: Random, singles: list[Draft], first: Iterable[Draft]) -> list[Draft]:
    """CDRs once more, among other neighbours than the first time."""
    sent_at = _sent_at(first)
    rng.shuffle(singles)
    return [_later(rng, max(sent_at[_key(item)] for item in draft.items), draft.items) for draft in _pack(rng, singles)]


def _later(rng: Random, moment: datetime, items: tuple[Item, ...]) -> Draft:
    minutes = rng.choice(LATER_MINUTES)
    return Draft(moment=moment + timedelta(minutes=minutes), items=items, pause_minutes=minutes, needs=items)


def _amend(settings: EmulatorSettings, rng: Random, calls: Sequence[Call], first: Iterable[Draft]) -> list[Draft]:
    """A corrected CDR for a few calls, after the first version; sometimes that one comes once more."""
    sent_at = _sent_at(first)
    drafts = []
    for call in calls:
        if rng.random() >= settings.amended_share:
            continue
        old = Item(call.number, call.record_id, 1, "cdr", payloads.cdr(call))
        content = old.content | {"callEndTime": payloads.stamp(call.times["disconnect"] + AMENDED_BY)}
        new = Item(call.number, call.record_id, 2, "cdr", content)
        minutes = rng.choice(AMENDED_MINUTES)
        moment = sent_at[_key(old)] + timedelta(minutes=minutes)
        drafts.append(Draft(moment=moment, items=(new,), pause_minutes=minutes, needs=(old,)))
        if rng.random() < settings.stale_share:
            stale = moment + timedelta(minutes=1)
            drafts.append(Draft(moment=stale, items=(old,), pause_minutes=1, needs=(old, new)))
    return drafts


def _key(item: Item) -> tuple[int, str]:
    return item.call, item.name


def _sent_at(first: Iterable[Draft]) -> dict[tuple[int, str], datetime]:
    return {_key(item): draft.moment for draft in first for item in draft.items}


def _number(drafts: list[Draft]) -> list[Push]:
    """Posts in order of their moments, each knowing if all of it was posted before."""
    pushes = []
    known: set[tuple[int, str, int]] = set()
    for n, draft in enumerate(sorted(drafts, key=lambda draft: draft.moment), start=1):
        content = {(*_key(item), item.version) for item in draft.items}
        push = Push(
            n=n,
            kind=draft.items[0].kind,
            items=draft.items,
            needs=draft.needs,
            pause_minutes=draft.pause_minutes,
            again=content <= known,
        )
        known |= content
        pushes.append(push)
    return pushes
