"""Aliyun's part: receipts as arrays, each answered within 700 ms, and X mode's signed questions.

Source: docs/protocols/aliyun-pnp.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Final

from console.emulator.act import Act, Heard, Request
from console.emulator.aliyun import payloads
from console.emulator.aliyun.calls import PnpCall, build_pnp_calls, rejected
from console.emulator.aliyun.control import CONTROL, answer_faults, model_of, signed
from console.emulator.aliyun.expect import expect
from console.emulator.aliyun.messages import PnpMessages
from console.emulator.huawei.privatenumber.payloads import object_of
from console.emulator.push import FIRST_MESSAGE, KINDS, Content, Draft, Form, Item, Kind, Push, later, number, pack
from console.emulator.recordings import Recordings
from console.emulator.settings import EmulatorSettings

REPUSH_MINUTES: Final = (1, 5, 10)  # section 4; after three failures it is dropped for good
REPLY_SECONDS: Final = 0.7
MERGE_SIZES: Final = (1, 1, 2, 3, 8, 20)  # no limit was found
TIE_BREAK: Final = timedelta(milliseconds=10)
QUESTION: Final = "question"  # the name of the item that asks

Make = Callable[[PnpCall, Random], Content]
EVENTS: Final[dict[str, Make]] = {
    "SecretStartReport": payloads.start_report,
    "SecretRingReport": payloads.ring_report,
    "SecretPickUpReport": payloads.pick_up_report,
}


def aliyun(settings: EmulatorSettings, recordings: Recordings) -> Act:
    """Receipts of all calls; with `settings.ask` some calls are X mode's and wait for a decision."""
    calls = build_pnp_calls(seed=settings.seed, start=settings.start, calls=settings.calls, ask=settings.ask)
    decided, messages = _Decided(settings, calls, recordings), PnpMessages(settings)
    singles = [*decided.drafts(), *messages.drafts()]

    def sign(request: Request, push: Push, nonce: str, created: datetime) -> Request:
        return signed(request, settings, nonce=nonce, created=created) if push.asks else request

    return Act(
        platform="aliyun_pnp",
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
        as_told=decided.as_told,
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


class _Decided:
    """The calls as the customer's answers make them."""

    def __init__(self, settings: EmulatorSettings, calls: Sequence[PnpCall], recordings: Recordings) -> None:
        self._settings = settings
        self._calls = {call.number: call for call in calls}
        self._asked = {call.number for call in calls if call.asks}
        self._decisions: dict[int, Content] = {}
        self._recordings = recordings
        for call in calls:
            if call.recorded:
                recordings.announce_call(call.call_id, call.pool_key, call.called_at, call.audio_name)

    def drafts(self) -> list[Draft]:
        """Everything that is told of the calls, one by one."""
        return [draft for call in self._calls.values() for draft in self._drafts(call)]

    def hear(self, push: Push, heard: Heard | None) -> None:
        """CONTINUE connects, to the number that the answer names where it names one; all else rejects."""
        call = self._calls[push.calls[0]]
        model = model_of(heard) if heard is not None else {}
        if heard is not None and not answer_faults(heard) and model.get("controlOperate") == "CONTINUE":
            callee = model.get("calledNo") or call.b
            self._calls[call.number] = replace(call, b=str(callee))
            self._decisions[call.number] = {"action": "connect", "callee": f"+86{callee}"}
            return
        self._calls[call.number] = rejected(call)
        if heard is not None:
            self._decisions[call.number] = {"action": "close", "callee": None}

    def as_told(self, push: Push) -> Push | None:
        """The same post about the calls as they went; None when all of it fell away."""
        if push.asks or not self._asked & set(push.calls):
            return push
        items = [item if item.call not in self._asked else self._item(item) for item in push.items]
        left = tuple(item for item in items if item is not None)
        return replace(push, items=left) if left else None

    def expect(self, number: int, items: Sequence[Item]) -> Content:
        """As the calls went, and with the decision that was heard."""
        audio = self._recordings.audio_digest
        return expect(self._calls[number], items, audio=audio, decision=self._decisions.get(number))

    def _drafts(self, call: PnpCall) -> list[Draft]:
        moments = {
            "SecretStartReport": call.called_at + TIE_BREAK,
            "SecretRingReport": call.rang_at if call.tells_events else None,
            "SecretPickUpReport": call.answered_at if call.tells_events else None,
            "SecretReport": call.released_at + timedelta(seconds=2),
            "SecretRecording": call.released_at + timedelta(seconds=5) if call.recorded else None,
        }
        drafts = [self._draft(call, name, moment) for name, moment in moments.items() if moment is not None]
        return [self._question(call), *drafts] if call.asks else drafts

    def _draft(self, call: PnpCall, name: str, moment: datetime) -> Draft:
        item = self._made(call, name)
        path = f"/receipts/{name}" if call.named_paths else "/receipts"
        form = Form(path=path, content_type=payloads.CONTENT_TYPE, write=lambda contents, _: payloads.array(contents))
        return Draft(moment=moment, items=(item,), form=form)

    def _question(self, call: PnpCall) -> Draft:
        item = Item(call.number, QUESTION, 1, "event", payloads.control(call))
        return Draft(moment=call.called_at, items=(item,), form=CONTROL, asks=True)

    def _made(self, call: PnpCall, name: str) -> Item:
        """An item with a generator of its own, so that it is the same whenever it is made."""
        rng = Random(f"{self._settings.seed}:pnp:{call.number}:{name}")
        kind: Kind = "cdr" if name == "SecretReport" else "event" if name in EVENTS else "recording"
        return Item(call.number, name, 1, kind, self._content(call, name, rng))

    def _content(self, call: PnpCall, name: str, rng: Random) -> Content:
        if name in EVENTS:
            return EVENTS[name](call, rng)
        if name == "SecretRecording":
            return payloads.recording(call, rng)
        url = self._recordings.audio_url(call.audio_name) if call.recorded else ""
        return payloads.report(call, rng, record_url=url)

    def _item(self, item: Item) -> Item | None:
        call = self._calls[item.call]
        reached = {
            "SecretRingReport": call.rang_at is not None,
            "SecretPickUpReport": call.answered_at is not None,
            "SecretRecording": call.recorded,
        }
        return self._made(call, item.name) if reached.get(item.name, True) else None


def _merged(rng: Random, singles: Sequence[Draft]) -> list[Draft]:
    """Neighbours in time of one type and path."""
    groups: dict[tuple[str, str], list[Draft]] = {}
    for draft in sorted(singles, key=lambda draft: draft.moment):
        groups.setdefault((draft.form.path, draft.items[0].name), []).append(draft)
    return [draft for group in groups.values() for draft in pack(rng, group, MERGE_SIZES)]
