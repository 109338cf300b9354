"""PrivateNumber's part: events, CDRs and questions of X mode.

Source: docs/protocols/huawei-privatenumber.md sections 0 to 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from console.emulator.act import Act, Request
from console.emulator.huawei import signing
from console.emulator.huawei.privatenumber.calls import build_calls
from console.emulator.huawei.privatenumber.decided import Decided
from console.emulator.huawei.privatenumber.messages import Messages
from console.emulator.huawei.privatenumber.plan import plan
from console.emulator.push import FIRST_MESSAGE, KINDS, Content, Item, Push
from console.emulator.recordings import Recordings
from console.emulator.settings import EmulatorSettings

# Counted from the first failure, the natural reading [inferred]; section 0.
REPUSH_MINUTES: Final = (1, 4, 9, 106, 203, 300)
ANSWER_SECONDS: Final = 1.0  # no number was found; a caller is listening


def private_number(settings: EmulatorSettings, _: Recordings) -> Act:
    """All five modes; with `settings.ask` each call in X mode waits. Recordings follow from their names alone."""
    calls = build_calls(seed=settings.seed, start=settings.start, calls=settings.calls, ask=settings.ask)
    decided, messages = Decided(calls), Messages(settings)

    def part(push: Push) -> Decided | Messages:
        return messages if push.calls[0] >= FIRST_MESSAGE else decided

    def expected(number: int, items: Sequence[Item]) -> Content:
        if number >= FIRST_MESSAGE:
            return messages.expect(number, items)
        return decided.expect(number, items, seed=settings.seed)

    def sign(request: Request, push: Push, nonce: str, created: datetime) -> Request:  # noqa: ARG001 - as all
        auth = signing.headers(
            settings.sign,
            app_key=settings.app_key,
            app_secret=settings.app_secret,
            nonce=nonce,
            created=f"{created:%Y-%m-%dT%H:%M:%SZ}",
        )
        return replace(request, headers={**request.headers, **auth})

    return Act(
        sessions={call.number: call.session_id for call in calls},
        messages=messages.names(),
        pushes=plan(settings, calls, messages.drafts()),
        repush_minutes=dict.fromkeys(KINDS, REPUSH_MINUTES),
        reply_seconds=settings.reply_timeout_seconds,
        answer_seconds=ANSWER_SECONDS,
        expect=expected,
        faults=lambda push, heard: part(push).faults(push, heard),
        sign=sign,
        hear=lambda push, heard: part(push).hear(push, heard),
        as_it_went=lambda push: part(push).as_it_went(push),
    )
