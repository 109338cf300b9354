"""Turns VoiceCall's calls into posts: status in order, and CDRs merged by the second in which they ended.

Source: docs/protocols/huawei-voicecall.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Final

from console.emulator.huawei.pushes import CONTENT_TYPE, MERGED_AT_MOST, TIE_BREAK, encode
from console.emulator.huawei.voicecall import payloads
from console.emulator.huawei.voicecall.calls import VoiceCall
from console.emulator.push import Content, Draft, Form, Item, Push, later, number
from console.emulator.recordings import Recordings
from console.emulator.settings import EmulatorSettings

LINKED_EVERY: Final = 4  # of the recorded calls


def plan(settings: EmulatorSettings, calls: Sequence[VoiceCall], recordings: Recordings) -> list[Push]:
    """Status of one call in order, then its CDR; CDRs are repeated, status never, and one may be lost on the way."""
    rng = Random(f"{settings.seed}:voicecall:plan")
    drafts = [draft for call in calls for draft in _status(settings, rng, call)]
    merged = _merged(calls, recordings)
    drafts += merged
    return number([*drafts, *(later(rng, draft) for draft in merged if rng.random() < settings.duplicate_share)])


def _status(settings: EmulatorSettings, rng: Random, call: VoiceCall) -> list[Draft]:
    steps = [*call.times]
    if call.digits is not None:
        steps.insert(steps.index("end"), "digits")
    if rng.random() < settings.lost_alerting_share:
        steps.remove(rng.choice([step for step in steps if step != "end"]))
    form = Form(
        path=f"/status/{call.product}", content_type=CONTENT_TYPE, write=lambda contents, _: encode(contents[0])
    )
    return [
        Draft(
            moment=call.times.get(step, call.times["end"]) + place * TIE_BREAK,
            items=(Item(call.number, step, 1, "event", payloads.status(call, step)),),
            form=form,
        )
        for place, step in enumerate(steps)
    ]


def _merged(calls: Sequence[VoiceCall], recordings: Recordings) -> list[Draft]:
    """By product, which has a URL of its own, and by the second of the end."""
    groups: dict[tuple[str, datetime], list[VoiceCall]] = defaultdict(list)
    for call in calls:
        groups[call.product, call.times["end"]].append(call)
    drafts = []
    for (product, ended), group in groups.items():
        form = Form(
            path=f"/fee/{product}",
            content_type=CONTENT_TYPE,
            write=lambda contents, app_key: payloads.fee(contents, app_key=app_key),
        )
        items = [Item(call.number, call.record_id, 1, "cdr", _cdr(call, recordings)) for call in group]
        for begin in range(0, len(items), MERGED_AT_MOST):
            batch = tuple(items[begin : begin + MERGED_AT_MOST])
            drafts.append(Draft(moment=ended + timedelta(seconds=1), items=batch, form=form))
    return drafts


def _cdr(call: VoiceCall, recordings: Recordings) -> Content:
    """A few recordings are announced by their link alone (sections 2 and 3)."""
    if call.object_name is None or call.number % LINKED_EVERY:
        return payloads.cdr(call)
    return payloads.cdr(call, link=recordings.audio_url(call.object_name))
