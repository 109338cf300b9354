"""Aliyun's part: receipts as arrays, each answered within 700 ms, and X mode's signed questions.

Source: docs/protocols/aliyun-pnp.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from random import Random
from typing import Final

from console.emulator.act import Act, Heard, Request
from console.emulator.aliyun.calls import build_pnp_calls
from console.emulator.aliyun.control import answer_faults, signed
from console.emulator.aliyun.decided import Decided
from console.emulator.aliyun.messages import PnpMessages
from console.emulator.push import FIRST_MESSAGE, KINDS, Draft, Push, later, number, object_of, pack
from console.emulator.recordings import Recordings
from console.emulator.settings import EmulatorSettings

REPUSH_MINUTES: Final = (1, 5, 10)  # section 4; after three failures it is dropped for good
REPLY_SECONDS: Final = 0.7
MERGE_SIZES: Final = (1, 1, 2, 3, 8, 20)  # no limit was found


def aliyun(settings: EmulatorSettings, recordings: Recordings) -> Act:
    """Receipts of all calls; with `settings.ask` some calls are X mode's and wait for a decision."""
    calls = build_pnp_calls(seed=settings.seed, start=settings.start, calls=settings.calls, ask=settings.ask)
    decided, messages = Decided(settings, calls, recordings), PnpMessages(settings)
    singles = [*decided.drafts(), *messages.drafts()]

    def sign(request: Request, push: Push, nonce: str, created: datetime) -> Request:
        return signed(request, settings, nonce=nonce, created=created) if push.asks else request

    return Act(
        sessions={call.number: call.call_id for call in calls},
        pushes=plan(settings, singles),
        messages=messages.names(),
        repush_minutes=dict.fromkeys(KINDS, REPUSH_MINUTES),
        reply_seconds=REPLY_SECONDS,
        answer_seconds=REPLY_SECONDS,  # not found; a live caller is waiting (section 3)
        expect=lambda number, items: (messages if number >= FIRST_MESSAGE else decided).expect(number, items),
        faults=_faults,
        sign=sign,
        hear=lambda push, heard: (messages if push.kind == "sms" else decided).hear(push, heard),
        as_it_went=decided.as_it_went,
    )


def plan(settings: EmulatorSettings, singles: Sequence[Draft]) -> list[Push]:
    """Each type in an array of its own with its neighbours; a question goes first and alone."""
    rng = Random(f"{settings.seed}:pnp:plan")
    questions = [draft for draft in singles if draft.asks]
    receipts = _merged(rng, [draft for draft in singles if not draft.asks])
    again = [later(rng, draft) for draft in receipts if rng.random() < settings.duplicate_share]
    return number([*questions, *receipts, *again])


def _faults(push: Push, heard: Heard) -> Sequence[str]:
    """`code` has to be a number, and is not looked at otherwise; a question wants section 3's envelope."""
    if push.asks:
        return [f"call control: {fault}" for fault in answer_faults(heard)]
    code = object_of(heard.body).get("code")
    return [] if isinstance(code, int) and not isinstance(code, bool) else ["receipt: code is not a number"]


def _merged(rng: Random, singles: Sequence[Draft]) -> list[Draft]:
    """Neighbours in time of one type and path."""
    groups: dict[tuple[str, str], list[Draft]] = {}
    for draft in sorted(singles, key=lambda draft: draft.moment):
        groups.setdefault((draft.form.path, draft.items[0].name), []).append(draft)
    return [draft for group in groups.values() for draft in pack(rng, group, MERGE_SIZES)]
