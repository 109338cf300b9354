"""Aliyun's receipts that are no calls: SMS, numbers, speech, parcels.

Source: docs/protocols/aliyun-pnp.md sections 3 and 4.5 to 4.8.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

from console.emulator.act import Heard
from console.emulator.aliyun import payloads
from console.emulator.aliyun.control import CONTROL, answer_faults, model_of
from console.emulator.moments import beijing, beijing_digits, rfc3339
from console.emulator.push import FIRST_MESSAGE, Content, Draft, Form, Item, Kind, Push
from console.emulator.settings import EmulatorSettings

VARIETIES: Final = ("sms", "sms", "asked", "NumberManagementReport", "SecretAsrReport", "SmartLogisticsReport")
KINDS: Final[Mapping[str, Kind]] = {"NumberManagementReport": "number"}  # the rest is a notice
QUESTION: Final = "question"
INTERCEPT: Final = "SecretSmsIntercept"


@dataclass(frozen=True, kw_only=True)
class PnpMessage:
    """One SMS, or one receipt of another type; numbers in national form, times in UTC."""

    number: int
    variety: str
    call_id: str
    sender: str
    receiver: str
    secret: str
    sent_at: datetime
    delivered: bool


class PnpMessages:
    """The messages, and what was decided about those that waited."""

    def __init__(self, settings: EmulatorSettings) -> None:
        first = settings.start.astimezone(UTC).replace(microsecond=0)
        built = [_build(Random(f"{settings.seed}:pnp-sms:{n}"), n, first, settings) for n in range(settings.messages)]
        self._all = {message.number: message for message in built}
        self._decisions: dict[int, Content] = {}

    def names(self) -> dict[int, str]:
        """Call ids of SMS by number, empty for the rest."""
        return {number: one.call_id if one.variety in ("sms", "asked") else "" for number, one in self._all.items()}

    def drafts(self) -> list[Draft]:
        """Each message once, or as a question and its receipt."""
        return [draft for message in self._all.values() for draft in _drafts(message)]

    def hear(self, push: Push, heard: Heard | None) -> None:
        """CONTINUE lets it pass, all else drops it."""
        if heard is None:
            return
        model = model_of(heard)
        passes = not answer_faults(heard) and model.get("controlOperate") == "CONTINUE"
        callee = f"+86{model['calledNo']}" if passes and "calledNo" in model else None
        self._decisions[push.calls[0]] = {"action": "route" if passes else "discard", "callee": callee}

    def expect(self, number: int, items: Sequence[Item]) -> Content:
        """What `sms.notified` must say; `due` once its receipt was accepted."""
        message = self._all[number]
        return {
            "sender": f"+86{message.sender}",
            "receiver": f"+86{message.receiver}",
            "private_number": f"+86{message.secret}",
            "sent_at": rfc3339(message.sent_at),
            "status": "delivered" if message.delivered else "intercepted",
            "decision": self._decisions.get(number),
            "due": INTERCEPT in {item.name for item in items},
        }


def _build(rng: Random, n: int, first: datetime, settings: EmulatorSettings) -> PnpMessage:
    return PnpMessage(
        number=FIRST_MESSAGE + n,
        variety=rng.choice(VARIETIES if settings.ask else [name for name in VARIETIES if name != "asked"]),
        call_id=f"sms{rng.getrandbits(64):016x}",
        sender=f"1385{2 * n:07d}",
        receiver=f"1385{2 * n + 1:07d}",
        secret=f"1700000{rng.randrange(20):04d}",
        sent_at=first + timedelta(seconds=9 * n),
        delivered=bool(rng.getrandbits(1)),
    )


def _drafts(message: PnpMessage) -> list[Draft]:
    if message.variety not in ("sms", "asked"):
        return [
            _draft(message, message.variety, KINDS.get(message.variety, "notice"), OTHERS[message.variety](message))
        ]
    intercept = _draft(message, INTERCEPT, "sms", _intercept(message))
    if message.variety == "sms":
        return [intercept]
    asked = {
        "callNo": message.sender,
        "secretNo": message.secret,
        "recordType": "SMS",
        "callTime": beijing_digits(message.sent_at),
        "callId": message.call_id,
    }
    item = Item(message.number, QUESTION, 1, "sms", asked)
    return [Draft(moment=message.sent_at, items=(item,), form=CONTROL, asks=True), intercept]


def _draft(message: PnpMessage, name: str, kind: Kind, content: Content) -> Draft:
    form = Form(
        path=f"/receipts/{name}",
        content_type=payloads.CONTENT_TYPE,
        write=lambda contents, _: payloads.array(contents),
    )
    item = Item(message.number, name, 1, kind, content)
    return Draft(moment=message.sent_at + timedelta(seconds=4), items=(item,), form=form)


def _intercept(message: PnpMessage) -> Content:
    """SecretSmsIntercept; `status` is a string in the sample, a number in the table."""
    return {
        "id": 3_000_000_000_000_000 + message.number,
        "partner_key": "FC100000000000001",
        "pool_key": "FC100000000000001",
        "out_id": "",
        "sub_id": 1_000_043_068_000_000,
        "sms_type": 1,
        "send_no": message.sender,
        "secret_no": message.secret,
        "receive_no": message.receiver,
        "sms_content": "您好",
        "sms_sign": "",
        "status": "1" if message.number % 2 else 1,
        "sms_intercept_type": "NORMAL",
        "call_id": message.call_id,
        "code": "DELIVRD" if message.delivered else "ACCEPTD",
        "start_time": beijing(message.sent_at),
    }


def _number(message: PnpMessage) -> Content:
    """NumberManagementReport, in the sample's spelling or that of the English table."""
    changed_at = beijing(message.sent_at)
    spelled = {"secret_no": message.secret, "partner_key": "FC100000000000001", "operating_time": changed_at}
    if message.number % 2:
        spelled = {"secretNo": message.secret, "partnerKey": "FC1", "operatingTime": changed_at}
    return spelled | {"city": "杭州", "status": 1, "vendor": 1}


def _asr(message: PnpMessage) -> Content:
    """SecretAsrReport, in camelCase."""
    sentence = {"beginTime": 640, "endTime": 1850, "channelId": 1, "text": "喂", "silenceDuration": "0"}
    return {
        "callId": message.call_id,
        "bizDuration": 65000,
        "partnerKey": "FC100000000000001",
        "secretNo": message.secret,
        "statusCode": "21050000",
        "sentences": [sentence | {"speechRate": "148", "emotionValue": "5.5"}],
    }


def _parcel(message: PnpMessage) -> Content:
    """SmartLogisticsReport: not telephony, yet it is pushed."""
    return {
        "cpCode": "YTO",
        "mailNo": f"YT{message.number}",
        "logisticsStatus": "SIGN",
        "logisticsGmtModified": beijing(message.sent_at),
        "packageDyn": '{"weight": 1223.3}',
    }


OTHERS: Final = {"NumberManagementReport": _number, "SecretAsrReport": _asr, "SmartLogisticsReport": _parcel}
