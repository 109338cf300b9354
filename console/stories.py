"""Which of the platforms' published pushes belong together, in the order in which a platform pushes them.

The files lie in `console/samples/<platform>/`; docs/protocols/ says what each of them is, docs/platforms.md which paths
a platform is given. Left out are questions (a source has to take them, and Aliyun's bears a time long past), answers,
and what would only repeat another story.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

_CONTENT_TYPES: Final[Mapping[str, str]] = {
    "json": "application/json;charset=UTF-8",
    "xml": "application/xml;charset=utf-8",
}


@dataclass(frozen=True, kw_only=True)
class Push:
    """One published push: its file, and what the platform appends to the source's URL."""

    platform: str
    file: str
    path: str = ""

    @property
    def body(self) -> bytes:
        """Its very bytes, out of the package."""
        return files("console").joinpath("samples", self.platform, self.file).read_bytes()

    @property
    def content_type(self) -> str:
        """What the platform calls that kind of body."""
        return _CONTENT_TYPES[self.file.rpartition(".")[2]]


@dataclass(frozen=True, kw_only=True)
class Story:
    """Pushes of one platform that belong together; `calls` are the session ids of the calls (or SMS) they make."""

    platform: str
    words: str
    pushes: tuple[Push, ...]
    calls: tuple[str, ...] = ()


def _story(platform: str, words: str, *pushes: tuple[str, str], calls: tuple[str, ...] = ()) -> Story:
    """One whose pushes are pairs of file and path."""
    found = tuple(Push(platform=platform, file=file, path=path) for file, path in pushes)
    return Story(platform=platform, words=words, pushes=found, calls=calls)


_HUAWEI_CALL: Final = ("1200_1827_4294967295_20190124023003@callenabler246.huaweicaas.com",)
_AXE_CALL: Final = ("1202_1051_4294967295_20190124070250@callenabler246.huaweicaas.com",)
_CALLBACK: Final = ("1201_612_4294967295_20190124030424@callenabler245.huaweicaas.com",)
_ONE_LEG: Final = ("1201_12897_4294967295_20180522064331@callenabler245.huaweicaas.com",)
_JIUYUN_CALL: Final = ("420d9ec4557f4eeabfb0000000000001",)
_ALL_EVENTS: Final = ("callin", "callout", "alerting", "answer", "disconnect")


def _private_number(mode: str, words: str, calls: tuple[str, ...], events: tuple[str, ...] = _ALL_EVENTS) -> Story:
    told = [(f"{mode}-event-{event}.json", "/status") for event in events]
    return _story("huawei_privatenumber", words, *told, (f"{mode}-fee.json", "/fee"), calls=calls)


def _one_leg(product: str, words: str) -> Story:
    # One CDR was published for both products, and it does not tell them apart: the path does.
    told = [f"{product}-status-{event}.json" for event in _ALL_EVENTS[1:]]
    pushes = [(file, f"/{product}") for file in (*told, "notify-fee.json")]
    return _story("huawei_voicecall", words, *pushes, calls=_ONE_LEG)


STORIES: Final[Mapping[str, Story]] = {
    "axyb": _private_number("axyb", "AXYB: five call events and the CDR of one call", _HUAWEI_CALL),
    "axb": _private_number("axb", "AXB: the same", _HUAWEI_CALL),
    "ax": _private_number("ax", "AX: the same", _HUAWEI_CALL),
    "axe": _private_number("axe", "AXE: the same, with an extension", _AXE_CALL),
    "x": _private_number(
        "x", "X: four call events (no callin was published) and the CDR", _HUAWEI_CALL, _ALL_EVENTS[1:]
    ),
    "sms": _story(
        "huawei_privatenumber",
        "the notice of one SMS",
        ("ax-sms-notify.json", "/sms"),
        calls=("ASN:16:example0000000001",),
    ),
    "callback": _story(
        "huawei_voicecall",
        "callback: five call events (none of B ringing), and the CDR",
        *(
            (f"callback-{name}.json", "/callback")
            for name in (
                "status-callout-lega",
                "status-alerting-lega",
                "status-answer-lega",
                "status-callout-legb",
                "status-disconnect",
                "fee",
            )
        ),
        calls=_CALLBACK,
    ),
    "notify": _one_leg("notify", "notification: four call events and the CDR of one call"),
    "verify": _one_leg("verify", "verification code: the same"),
    "aliyun": _story(
        "aliyun_pnp",
        "AXB or AXN: the start and ring of a call, CDRs of three",
        ("secret_start_report.json", "/SecretStartReport"),
        ("secret_ring_report.json", "/SecretRingReport"),
        ("secret_report.json", "/SecretReport"),
        calls=("4361aa01bb02cc03", "4361aa01bb02cc04", "4361aa01bb02cc05"),
    ),
    "aliyun-notices": _story(
        "aliyun_pnp",
        "a transcript, a parcel, a number's state, a number that is off",
        ("secret_asr_report.json", "/SecretAsrReport"),
        ("smart_logistics_report.json", "/SmartLogisticsReport"),
        ("number_management_report.json", "/NumberManagementReport"),
        ("secret_exception_phone_report.mns.json", "/SecretExceptionPhoneReport"),
    ),
    "jiuyun": _story(
        "jiuyun_axb",
        "type 22, 云呼AXB: the CDRs of two calls, one of them unanswered",
        ("axb_hangup.xml", ""),
        ("axb_hangup_unanswered.xml", ""),
        calls=("a1b2c3d4e5f60718293a4b5c6d7e8f90", "a1b2c3d4e5f60718293a4b5c6d7e8f91"),
    ),
    "jiuyun-1": _story("jiuyun_axb", "type 1: the CDR of one call", ("type1_hangup.xml", ""), calls=_JIUYUN_CALL),
    "jiuyun-2": _story(
        "jiuyun_axb",
        "type 2: two call events and the CDR of one call",
        ("type2_call_invite.xml", ""),
        ("type2_call_establish.xml", ""),
        ("type2_hangup.xml", ""),
        calls=_JIUYUN_CALL,
    ),
    "jiuyun-voice": _story("jiuyun_axb", "VoiceNotify", ("voice_notify.xml", ""), calls=_JIUYUN_CALL),
    "jiuyun-code": _story("jiuyun_axb", "VoiceCodeNotify", ("voice_code_notify.xml", ""), calls=_JIUYUN_CALL),
}
