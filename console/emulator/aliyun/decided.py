"""Aliyun's calls as the answers to X mode's questions make them: docs/protocols/aliyun-pnp.md sections 3 and 4."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Final

from console.emulator.act import Heard
from console.emulator.aliyun import payloads
from console.emulator.aliyun.calls import PnpCall, rejected
from console.emulator.aliyun.control import CONTROL, answer_faults, model_of
from console.emulator.aliyun.expect import expect
from console.emulator.aliyun.recordings import announce
from console.emulator.push import Content, Draft, Form, Item, Kind, Push, as_it_went
from console.emulator.recordings import Recordings
from console.emulator.settings import EmulatorSettings

TIE_BREAK: Final = timedelta(milliseconds=10)
QUESTION: Final = "question"  # the name of the item that asks

Make = Callable[[PnpCall, Random], Content]
EVENTS: Final[dict[str, Make]] = {
    "SecretStartReport": payloads.start_report,
    "SecretRingReport": payloads.ring_report,
    "SecretPickUpReport": payloads.pick_up_report,
}


class Decided:
    """The calls as the customer's answers make them."""

    def __init__(self, settings: EmulatorSettings, calls: Sequence[PnpCall], recordings: Recordings) -> None:
        self._settings = settings
        self._calls = {call.number: call for call in calls}
        self._asked = {call.number for call in calls if call.asks}
        self._decisions: dict[int, Content] = {}
        self._recordings = recordings
        for call in calls:
            if call.recorded:
                announce(
                    recordings, call.audio_name, pool_key=call.pool_key, call_id=call.call_id, called_at=call.called_at
                )

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

    def as_it_went(self, push: Push) -> Push | None:
        """The same post about the calls as they went; None when all of it fell away."""
        return as_it_went(push, self._asked, self._again)

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

    def _again(self, item: Item) -> Item | None:
        call = self._calls[item.call]
        reached = {
            "SecretRingReport": call.rang_at is not None,
            "SecretPickUpReport": call.answered_at is not None,
            "SecretRecording": call.recorded,
        }
        return self._made(call, item.name) if reached.get(item.name, True) else None
