"""Turns PrivateNumber calls into posts: which bodies, merged how, in which order; decided before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from random import Random

from console.emulator.huawei.privatenumber import payloads
from console.emulator.huawei.privatenumber.calls import Call
from console.emulator.huawei.pushes import CONTENT_TYPE, MERGED_AT_MOST, TIE_BREAK, encode
from console.emulator.moments import utc
from console.emulator.push import Draft, Form, Item, Push, key_of, later, number, pack, sent_at
from console.emulator.settings import EmulatorSettings

MERGE_SIZES = (1, 1, 1, 2, 3, 5, 8, 13, MERGED_AT_MOST)
AMENDED_MINUTES = (1, 4, 9, 24)
AMENDED_BY = timedelta(seconds=3)

EVENT = Form(path="/status", content_type=CONTENT_TYPE, write=lambda contents, _: encode(contents[0]))
CDR = Form(
    path="/fee",
    content_type=CONTENT_TYPE,
    write=lambda contents, app_key: encode(payloads.fee(contents, app_key=app_key)),
)


def plan(settings: EmulatorSettings, calls: Sequence[Call], messages: Sequence[Draft] = ()) -> list[Push]:
    """All posts in their order; the same settings and calls give the same list."""
    rng = Random(f"{settings.seed}:plan")
    events = [draft for call in calls for draft in _events(settings, rng, call)]
    singles = [draft for call in calls for draft in _cdrs(settings, rng, call)]
    first = events + _merge(rng, singles)
    again = [later(rng, draft) for draft in first if rng.random() < settings.duplicate_share and not draft.asks]
    again += _remerge(rng, [draft for draft in singles if rng.random() < settings.remerge_share], first)
    again += _amend(settings, rng, calls, first)
    return number([*first, *again, *messages])


def _events(settings: EmulatorSettings, rng: Random, call: Call) -> list[Draft]:
    """The events of a call nearly in order; alerting may never be sent, and a question is always the first."""
    lost = {"alerting"} if rng.random() < settings.lost_alerting_share else set()
    steps = [step for step in call.times if step not in lost]
    moments = [call.times[step] + place * TIE_BREAK for place, step in enumerate(steps)]
    if rng.random() < settings.shuffle_share:
        place = rng.randrange(len(steps) - 1)
        if not (call.asks and place == 0):
            moments[place], moments[place + 1] = moments[place + 1], moments[place]
    return [
        Draft(
            moment=moment,
            items=(Item(call.number, step, 1, "event", payloads.event(call, step)),),
            form=EVENT,
            asks=call.asks and step == "callin",
        )
        for step, moment in zip(steps, moments, strict=True)
    ]


def _cdrs(settings: EmulatorSettings, rng: Random, call: Call) -> list[Draft]:
    """The CDRs of a call, seconds after its end or just before the disconnect event."""
    ended = call.times["disconnect"]
    overtakes = rng.random() < settings.cdr_first_share
    moment = ended - timedelta(seconds=0.5) if overtakes else ended + timedelta(seconds=rng.randint(1, 8))
    item = Item(call.number, call.record_id, 1, "cdr", payloads.cdr(call))
    drafts = [Draft(moment=moment, items=(item,), form=CDR, alone=overtakes)]
    if call.ending.outcome == "answered" and rng.random() < settings.redial_share:
        item = Item(call.number, call.redial_id, 1, "cdr", payloads.redial_cdr(call))
        drafts.append(Draft(moment=ended + timedelta(seconds=rng.randint(0, 9)), items=(item,), form=CDR))
    return drafts


def _merge(rng: Random, singles: list[Draft]) -> list[Draft]:
    """CDRs merged with their neighbours in time; one that overtakes its disconnect event goes alone."""
    waiting = sorted(singles, key=lambda draft: draft.moment)
    alone = [draft for draft in waiting if draft.alone]
    return alone + pack(rng, [draft for draft in waiting if not draft.alone], MERGE_SIZES)


def _remerge(rng: Random, singles: list[Draft], first: Iterable[Draft]) -> list[Draft]:
    """CDRs once more, among other neighbours than the first time."""
    known = sent_at(first)
    rng.shuffle(singles)
    packed = pack(rng, singles, MERGE_SIZES)
    return [later(rng, draft, moment=max(known[key_of(item)] for item in draft.items)) for draft in packed]


def _amend(settings: EmulatorSettings, rng: Random, calls: Sequence[Call], first: Iterable[Draft]) -> list[Draft]:
    """A corrected CDR for a few calls, after the first version; sometimes that one comes once more."""
    known = sent_at(first)
    drafts = []
    for call in calls:
        if rng.random() >= settings.amended_share:
            continue
        old = Item(call.number, call.record_id, 1, "cdr", payloads.cdr(call))
        content = old.content | {"callEndTime": utc(call.times["disconnect"] + AMENDED_BY)}
        new = Item(call.number, call.record_id, 2, "cdr", content)
        minutes = rng.choice(AMENDED_MINUTES)
        moment = known[key_of(old)] + timedelta(minutes=minutes)
        drafts.append(Draft(moment=moment, items=(new,), form=CDR, pause_minutes=minutes, needs=(old,)))
        if rng.random() < settings.stale_share:
            stale = moment + timedelta(minutes=1)
            drafts.append(Draft(moment=stale, items=(old,), form=CDR, pause_minutes=1, needs=(old, new)))
    return drafts
