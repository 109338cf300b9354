"""VoiceCall's part: status that is never pushed again, and CDRs merged by the second in which they ended.

Source: docs/protocols/huawei-voicecall.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from console.emulator.act import Act, Heard, Request
from console.emulator.huawei import signing
from console.emulator.huawei.voicecall.calls import build_voice_calls
from console.emulator.huawei.voicecall.expect import expect
from console.emulator.huawei.voicecall.plan import plan
from console.emulator.moments import BEIJING_AHEAD
from console.emulator.push import Kind, Push
from console.emulator.recordings import Recordings
from console.emulator.settings import EmulatorSettings

REPUSH_MINUTES: Final[Mapping[Kind, tuple[int, ...]]] = {"event": (), "cdr": (60, 120, 180, 240, 300, 360)}


def voice_call(settings: EmulatorSettings, recordings: Recordings) -> Act:
    """Callback, notify and verify; each product has URLs of its own, since nothing else tells the last two apart."""
    calls = build_voice_calls(seed=settings.seed, start=settings.start, calls=settings.calls)
    by_number = {call.number: call for call in calls}

    def sign(request: Request, push: Push, nonce: str, created: datetime) -> Request:  # noqa: ARG001 - as all
        return _signed(request, settings, nonce=nonce, created=created)

    return Act(
        sessions={call.number: call.session_id for call in calls},
        pushes=plan(settings, calls, recordings),
        repush_minutes=REPUSH_MINUTES,
        reply_seconds=settings.reply_timeout_seconds,
        answer_seconds=settings.reply_timeout_seconds,
        expect=lambda number, items: expect(by_number[number], items, seed=settings.seed),
        faults=_faults,
        sign=sign,
    )


def _signed(request: Request, settings: EmulatorSettings, *, nonce: str, created: datetime) -> Request:
    """Section 0, push auth: over URL, nonce and created, which is Beijing time though it ends in Z."""
    if settings.sign == "none":
        return request
    spelled = f"{created + BEIJING_AHEAD:%Y-%m-%dT%H:%M:%SZ}"
    digest = signing.keyed(f"{request.url}\n{nonce}\n{spelled}", settings.app_secret)
    auth = signing.token("AKSK", digest, app_key=settings.app_key, nonce=nonce, created=spelled)
    return replace(request, headers={**request.headers, **auth})


def _faults(push: Push, heard: Heard) -> Sequence[str]:  # noqa: ARG001 - as all
    """An empty body is fine, and so is the JSON of the notify page (section 0, reply)."""
    if not heard.body or b'"resultcode"' in heard.body:
        return []
    return ["voicecall: a 200 with a body that no page shows"]
