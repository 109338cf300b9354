"""PrivateNumber's SMS and number states (docs/protocols/huawei-privatenumber.md sections 4 and 5).

AXB only notifies, and so does AX but for an SMS of A's that names no receiver; in X mode each SMS waits for a decision
first. A Notify follows once it was routed.
A number state has no time, so that told again late it reads as news: here each is of a number of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

from console.emulator.act import Heard
from console.emulator.huawei.pushes import CONTENT_TYPE, encode
from console.emulator.push import FIRST_MESSAGE, Content, Draft, Form, Item, Push, object_of
from console.emulator.settings import EmulatorSettings

MODES: Final = ("AXB", "AX", "AX without a suffix", "X", "X", "state")
ASKING: Final = frozenset({"AX without a suffix", "X"})
SPELLINGS: Final = ("Text SMS ", "TextSMS")
DIRECTIONS: Final = {"0": "b_to_a", "1": "a_to_b"}
ROUTED: Final = "vNumberRoute"
OPERATIONS: Final = frozenset({ROUTED, "DiscardMessage"})
NORMAL: Final = 5
SUSPENDED: Final = 9
STATES: Final = Form(path="/number", content_type=CONTENT_TYPE, write=lambda contents, _: encode(contents[0]))
X_NUMBERS: Final = 11  # the first of the private numbers, so that a rule may know nearly all of them
MILLISECONDS: Final = timedelta(milliseconds=450)


def _form(path: str) -> Form:
    return Form(
        path=path,
        content_type=CONTENT_TYPE,
        write=lambda contents, app_key: encode({"appKey": app_key} | contents[0]),
    )


@dataclass(frozen=True, kw_only=True)
class Message:
    """One SMS; `mode` is `state` for a number that changed. `receiver` is None until a decision names one."""

    number: int
    mode: str
    identifier: str
    sender: str
    receiver: str | None
    private_number: str
    direction: str
    parts: int
    sent_at: datetime
    event: str
    as_object: bool  # extParas as an old demo has it

    @property
    def asks(self) -> bool:
        """Whether it waits for a decision."""
        return self.mode in ASKING


class Messages:
    """The messages as the customer's answers make them."""

    def __init__(self, settings: EmulatorSettings) -> None:
        first = settings.start.astimezone(UTC).replace(microsecond=0) + MILLISECONDS
        built = [_build(Random(f"{settings.seed}:sms:{n}"), n, first, settings) for n in range(settings.messages)]
        self._all = {message.number: message for message in built}
        self._decisions: dict[int, Content] = {}

    def names(self) -> dict[int, str]:
        """Identifiers by number, empty for the state of a number."""
        return {number: "" if one.mode == "state" else one.identifier for number, one in self._all.items()}

    def drafts(self) -> list[Draft]:
        """Each message once, or as a question and its notice."""
        return [draft for message in self._all.values() for draft in _drafts(message)]

    def faults(self, push: Push, heard: Heard) -> Sequence[str]:
        """What is wrong with an answer: a Notify wants an empty body."""
        if push.asks:
            return [f"SMS question: {fault}" for fault in answer_faults(heard, self._all[push.calls[0]])]
        return ["door: a 200 with a body, where the platform wants it empty"] if heard.body else []

    def hear(self, push: Push, heard: Heard | None) -> None:
        """Route as told; drop it on every other word, and when there was none."""
        message = self._all[push.calls[0]]
        action = _action(heard) if heard is not None else {}
        called = _inner(action, "message").get("called")
        if heard is not None and not answer_faults(heard, message) and action["operation"] == ROUTED:
            self._all[message.number] = replace(message, receiver=str(called))
            self._decisions[message.number] = {"action": "route", "callee": called}
        elif heard is not None:
            self._decisions[message.number] = {"action": "discard", "callee": None}

    def as_it_went(self, push: Push) -> Push | None:
        """After a question only a routed message is notified."""
        message = self._all[push.calls[0]]
        if push.asks or not message.asks:
            return push
        if message.receiver is None:
            return None
        return replace(push, items=(_item(message, "Notify"),))

    def expect(self, number: int, items: Sequence[Item]) -> Content:
        """What `sms.notified` must say; `due` once its Notify was accepted."""
        message, accepted = self._all[number], {item.name for item in items}
        return {
            "sender": message.sender,
            "receiver": message.receiver,
            "private_number": message.private_number,
            "direction": DIRECTIONS[message.direction],
            "parts": message.parts,
            "sent_at": f"{message.sent_at:%Y-%m-%dT%H:%M:%S.%f}Z",
            "decision": self._decisions.get(number),
            "due": "Notify" in accepted,
        }


def answer_faults(heard: Heard, message: Message) -> list[str]:
    """What is wrong with the answer to a Block push, by the table of section 4."""
    actions = object_of(heard.body).get("actions")
    if not (isinstance(actions, list) and len(actions) == 1 and isinstance(actions[0], dict)):
        return ["actions is no array of one"]
    action = _action(heard)
    if action.get("operation") not in OPERATIONS:
        return ["operation is neither vNumberRoute nor DiscardMessage"]
    inner = _inner(action, "message")
    if action["operation"] != ROUTED:
        return ["message only goes with vNumberRoute"] if inner else []
    found = [] if inner.get("calling") == message.sender else ["calling is not that of the request"]
    return found if isinstance(inner.get("called"), str) and inner["called"] else [*found, "no called"]


def _build(rng: Random, n: int, first: datetime, settings: EmulatorSettings) -> Message:
    mode = rng.choice(MODES if settings.ask else [mode for mode in MODES if mode not in ASKING])
    return Message(
        number=FIRST_MESSAGE + n,
        mode=mode,
        identifier=f"ASN:16:emulated{settings.seed:04d}{n:06d}",
        sender=f"+861384{2 * n:07d}",
        receiver=None if mode in ASKING else f"+861384{2 * n + 1:07d}",
        private_number=f"+8617010000{rng.randrange(X_NUMBERS):03d}",
        direction="1" if mode in ASKING else rng.choice("01"),
        parts=rng.randint(1, 3),
        sent_at=first + timedelta(seconds=7 * n),
        event=rng.choice(SPELLINGS),
        as_object=rng.random() < 1 / 4,
    )


def _drafts(message: Message) -> list[Draft]:
    if message.mode == "state":
        states = [_state(message, status) for status in (SUSPENDED, NORMAL)]
        later = (message.sent_at, message.sent_at + timedelta(seconds=90))
        return [Draft(moment=at, items=(item,), form=STATES) for at, item in zip(later, states, strict=True)]
    notice = message.sent_at + timedelta(seconds=2 if message.asks else 0)
    drafts = [Draft(moment=notice, items=(_item(message, "Notify"),), form=_form("/sms"))]
    if not message.asks:
        return drafts
    question = Draft(moment=message.sent_at, items=(_item(message, "Block"),), form=_form("/sms-control"), asks=True)
    return [question, *drafts]


def _item(message: Message, mode: str) -> Item:
    return Item(message.number, mode, 1, "sms", {"smsEvent": _sms_event(message, mode)})


def _sms_event(message: Message, mode: str) -> Content:
    """The receiver is absent in Block samples; sendResult is 0 there too."""
    called = {} if mode == "Block" or message.receiver is None else {"called": message.receiver}
    pairs = {"splitNum": str(message.parts), "direction": message.direction}
    listed: Any = [{"key": key, "value": value} for key, value in pairs.items()]
    return {
        "smsIdentifier": message.identifier,
        "notificationMode": mode,
        "calling": message.sender,
        **called,
        "virtualNumber": message.private_number,
        "event": message.event,
        "timeStamp": f"{message.sent_at:%Y-%m-%dT%H:%M:%S}.450Z",
        "extInfo": {"extParas": pairs if message.as_object else listed},
        "sendResult": 0,
    }


def _state(message: Message, status: int) -> Item:
    number = f"+86170200{message.number - FIRST_MESSAGE:05d}{status}"
    content = {"eventType": "numStatus", "numInfo": [{"number": number, "status": status, "cause": ""}]}
    return Item(message.number, f"state-{status}", 1, "number", content)


def _action(heard: Heard) -> Content:
    actions = object_of(heard.body).get("actions")
    return actions[0] if isinstance(actions, list) and actions and isinstance(actions[0], dict) else {}


def _inner(action: Content, name: str) -> Content:
    inner = action.get(name)
    return inner if isinstance(inner, dict) else {}
