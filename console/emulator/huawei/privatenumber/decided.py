"""PrivateNumber's calls as the answers to X mode's questions make them.

Source: docs/protocols/huawei-privatenumber.md section 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from console.emulator.act import Heard
from console.emulator.huawei.privatenumber import payloads
from console.emulator.huawei.privatenumber.calls import Call, closed
from console.emulator.huawei.privatenumber.expect import expect
from console.emulator.huawei.privatenumber.plan import AMENDED_BY
from console.emulator.moments import read_utc, utc
from console.emulator.push import Content, Item, Push, as_it_went, object_of

INFOS: Final = {"connect": "connectInfo", "close": "closeInfo"}
CONNECT_FIELDS: Final = frozenset(
    {
        "displayCalleeNum",
        "calleeNum",
        "maxDuration",
        "waitVoice",
        "recordFlag",
        "recordHintTone",
        "lastMinVoice",
        "userData",
    }
)
CLOSE_FIELDS: Final = frozenset({"closeHintTone", "userData"})
LONGEST_MINUTES: Final = 1440
CALLEE_LENGTHS: Final = range(4, 32)  # String(4-31)


class Decided:
    """The calls as the customer's answers make them."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self._calls = {call.number: call for call in calls}
        self._asked = {call.number for call in calls if call.asks}
        self._decisions: dict[int, Content] = {}

    def faults(self, push: Push, heard: Heard) -> Sequence[str]:
        """An ordinary push wants an empty body, a question the JSON of section 2."""
        if push.asks:
            return [f"question: {fault}" for fault in answer_faults(heard, self._calls[push.calls[0]])]
        return ["door: a 200 with a body, where the platform wants it empty"] if heard.body else []

    def hear(self, push: Push, heard: Heard | None) -> None:
        """Connect the call as told; close it on every other word, and when there was none."""
        call = self._calls[push.calls[0]]
        info = _info(heard.body) if heard else None
        callee = info.get("calleeNum") if info and not answer_faults(heard, call) else None
        if isinstance(callee, str):
            user_data = info.get("userData") if info else None
            self._calls[call.number] = replace(call, callee=callee, user_data=user_data)
            self._decisions[call.number] = {"action": "connect", "callee": callee}
            return
        self._calls[call.number] = closed(call)
        if heard is not None:
            self._decisions[call.number] = {"action": "close", "callee": None}

    def as_it_went(self, push: Push) -> Push | None:
        """The same post about the calls as they went; None when all of it fell away."""
        return as_it_went(push, self._asked, self._again)

    def expect(self, number: int, items: Sequence[Item], *, seed: int) -> Content:
        """As the calls went, and with the decision that was heard."""
        events = {item.name: item.content for item in items if item.kind == "event"}
        cdrs = {item.name: item.content for item in items if item.kind == "cdr"}  # a later version wins
        expected = expect(self._calls[number], seed=seed, events=events, cdrs=cdrs)
        expected["product"] = "privatenumber"
        decision = self._decisions.get(number)
        expected["decision"] = decision
        if decision:
            expected["timeline"] = sorted([*expected["timeline"], "decided"])
        return expected

    def _again(self, item: Item) -> Item | None:
        call = self._calls[item.call]
        if item.kind == "event":
            return replace(item, content=payloads.event(call, item.name)) if item.name in call.times else None
        if item.name == call.redial_id:
            return replace(item, content=payloads.redial_cdr(call)) if call.callee else None
        later = timedelta(0) if item.version == 1 else AMENDED_BY
        content = payloads.cdr(call)
        ended = read_utc(content["callEndTime"]) + later
        return replace(item, content=content | {"callEndTime": utc(ended)})


def answer_faults(heard: Heard | None, call: Call) -> Sequence[str]:
    """What is wrong with the answer to a callin that waits, by tables 10-12 of section 2; nothing when it is right."""
    if heard is None:
        return ["no answer"]
    body = object_of(heard.body)
    operation = body.get("operation")
    if operation not in INFOS:
        return ["operation is neither connect nor close"]
    info = _info(heard.body)
    if info is None:
        return ["connect without its connectInfo"] if operation == "connect" else []
    unknown = set(info) - (CONNECT_FIELDS if operation == "connect" else CLOSE_FIELDS)
    found = [f"{name} is not a field of {INFOS[operation]}" for name in sorted(unknown)]
    return [*found, *(_connect_faults(info, call) if operation == "connect" else [])]


def _connect_faults(info: Mapping[str, Any], call: Call) -> list[str]:
    callee, most = info.get("calleeNum"), info.get("maxDuration", 0)
    found = []
    if not isinstance(callee, str) or len(callee) not in CALLEE_LENGTHS:
        found.append("calleeNum is not a string of 4 to 31 characters")
    if info.get("displayCalleeNum", call.private_number) != call.private_number:
        found.append("displayCalleeNum is not the X of this call: the carrier would block it")
    if info.get("recordFlag", "false") not in ("true", "false"):
        found.append('recordFlag is not the string "true" or "false"')
    if isinstance(most, bool) or not isinstance(most, int) or not 0 <= most <= LONGEST_MINUTES:
        found.append("maxDuration is not a number of 0 to 1440 minutes")
    return found


def _info(body: bytes) -> Content | None:
    """The connectInfo or closeInfo: an object in the table, an array of one in the demo; both are taken."""
    answer = object_of(body)
    info = answer.get(INFOS.get(str(answer.get("operation")), ""))
    if isinstance(info, list) and len(info) == 1:
        info = info[0]
    return info if isinstance(info, dict) else None
