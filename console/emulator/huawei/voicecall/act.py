"""VoiceCall's part: status that is never pushed again, and CDRs merged by the second in which they ended.

Source: docs/protocols/huawei-voicecall.md.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Final

from console.emulator.act import Act, Heard, Request
from console.emulator.audio import make_wav
from console.emulator.huawei.privatenumber.calls import BEIJING_AHEAD
from console.emulator.huawei.privatenumber.expect import rfc3339, seconds_between, wav_digest
from console.emulator.huawei.privatenumber.payloads import CONTENT_TYPE, encode
from console.emulator.huawei.voicecall import payloads
from console.emulator.huawei.voicecall.calls import VoiceCall, build_voice_calls
from console.emulator.push import Content, Draft, Form, Item, Kind, Push, later, number
from console.emulator.recordings import Recordings
from console.emulator.settings import EmulatorSettings

LINKED_EVERY: Final = 4  # of the recorded calls
MERGED_AT_MOST: Final = 50  # section 0, batching
REPUSH_MINUTES: Final[Mapping[Kind, tuple[int, ...]]] = {"event": (), "cdr": (60, 120, 180, 240, 300, 360)}
TIE_BREAK: Final = timedelta(milliseconds=10)
TIMELINE: Final = {"start": "outgoing", "ring": "ringing", "answer": "answered", "end": "ended", "digits": "digits"}


def voice_call(settings: EmulatorSettings, recordings: Recordings) -> Act:
    """Callback, notify and verify; each product has URLs of its own, since nothing else tells the last two apart."""
    calls = build_voice_calls(seed=settings.seed, start=settings.start, calls=settings.calls)
    by_number = {call.number: call for call in calls}

    def sign(request: Request, push: Push, nonce: str, created: datetime) -> Request:  # noqa: ARG001 - as all
        return _signed(request, settings, nonce=nonce, created=created)

    return Act(
        platform="huawei_voicecall",
        sessions={call.number: call.session_id for call in calls},
        pushes=plan(settings, calls, recordings),
        repush_minutes=REPUSH_MINUTES,
        reply_seconds=settings.reply_timeout_seconds,
        answer_seconds=settings.reply_timeout_seconds,
        expect=lambda number, items: expect(by_number[number], items, seed=settings.seed),
        faults=_faults,
        sign=sign,
    )


def plan(settings: EmulatorSettings, calls: Sequence[VoiceCall], recordings: Recordings) -> list[Push]:
    """Status of one call in order, then its CDR; CDRs are repeated, status never, and one may be lost on the way."""
    rng = Random(f"{settings.seed}:voicecall:plan")
    drafts = [draft for call in calls for draft in _status(settings, rng, call)]
    merged = _merged(calls, recordings)
    drafts += merged
    return number([*drafts, *(later(rng, draft) for draft in merged if rng.random() < settings.duplicate_share)])


def expect(call: VoiceCall, items: Sequence[Item], *, seed: int) -> Content:
    """What the record must say (docs/contract.md section 1): the real parties, and the leg on which people talked."""
    told = [item.name for item in items if item.kind == "event"]
    last = "b" if call.product == "callback" else "a"
    times = {name: call.times.get(f"{name}_{last}") for name in ("ring", "answer")}
    ended, answered = call.times["end"], times["answer"] is not None
    missing = _missing(call, told)
    return {
        "product": call.product,
        "mode": None,
        "direction": None,
        "caller": call.user_a if call.product == "callback" else None,
        "callee": call.user_b if call.product == "callback" else call.user_a,
        "private_number": None,
        "display_number": call.display if call.reached_b or call.product != "callback" else None,
        "extension": None,
        "user_data": call.user_data,
        "outcome": call.ending.outcome,
        "answered": answered,
        "ring_seconds": seconds_between(times["ring"], times["answer"] or ended),
        "talk_seconds": seconds_between(times["answer"], ended) if answered else 0,
        "called_in_at": None,
        "started_at": rfc3339(call.times["start_a"]),
        "ringing_at": rfc3339(times["ring"]),
        "answered_at": rfc3339(times["answer"]),
        "ended_at": rfc3339(ended),
        "timeline": sorted(TIMELINE[name.partition("_")[0]] for name in told),
        "cdrs": [{"record_id": call.record_id, "ended_at": rfc3339(ended)}],
        "recordings": {call.object_name: wav_digest(make_wav(seed, call.object_name))} if call.object_name else {},
        "complete": not missing,
        "missing": missing,
        "cdr_accepted": any(item.kind == "cdr" for item in items),
    }


def _missing(call: VoiceCall, told: Sequence[str]) -> list[str]:
    """Callback: the ended event and those of both legs that its times imply; else the ended event alone."""
    wanted = [step for step in call.times if call.product == "callback" or step == "end"]
    return sorted({TIMELINE[step.partition("_")[0]] for step in wanted if step not in told})


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


def _signed(request: Request, settings: EmulatorSettings, *, nonce: str, created: datetime) -> Request:
    """Section 0, push auth: over URL, nonce and created, which is Beijing time though it ends in Z."""
    if settings.sign == "none":
        return request
    told = f"{created + BEIJING_AHEAD:%Y-%m-%dT%H:%M:%SZ}"
    raw = hmac.new(settings.app_secret.encode(), f"{request.url}\n{nonce}\n{told}".encode(), hashlib.sha256).digest()
    token = (
        f'UsernameToken Username="{settings.app_key}",PasswordDigest="{base64.b64encode(raw).decode()}",'
        f'Nonce="{nonce}",Created="{told}"'
    )
    auth = {"Authorization": 'AKSK realm="SDP",profile="UsernameToken",type="Appkey"', "X-AKSK": token}
    return replace(request, headers={**request.headers, **auth})


def _faults(push: Push, heard: Heard) -> Sequence[str]:  # noqa: ARG001 - as all
    """An empty body is fine, and so is the JSON of the notify page (section 0, reply)."""
    if not heard.body or b'"resultcode"' in heard.body:
        return []
    return ["voicecall: a 200 with a body that no page shows"]
