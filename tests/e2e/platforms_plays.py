"""What each platform pushes in the end-to-end test: every published file, and a few pushes from a page's words."""

from __future__ import annotations

from typing import Any, Final

from tests.e2e.platforms import Account, Push, samples
from tests.e2e.running import SECRET_VARIABLE

__all__ = ["ACCOUNTS", "NUMBER_CHANGES", "OTHER_NOTICES", "Account", "Push"]

_EVENTS: Final = ("callin", "callout", "alerting", "answer", "disconnect")

# docs/protocols/huawei-privatenumber.md section 1, rows timestamp to called and notifyMode; X mode's callin has no
# subscriptionId. No callin of X mode was published. Section 2: it says Block and waits for an answer.
_X_CALL_IN: Final[dict[str, Any]] = {
    "eventType": "callin",
    "statusInfo": {
        "sessionId": "1200_1827_4294967295_20190124023003@callenabler246.huaweicaas.com",
        "timestamp": "2019-01-24 02:30:03",
        "caller": "+8613800000021",
        "called": "+8613800000022",
        "notifyMode": "Block",
    },
}

# docs/protocols/aliyun-pnp.md section 1: X mode has no CDR push of its own, the receipts serve, and their sub_id is the
# subsId that was answered [inferred]; fields of section 4.1.
_X_REPORT: Final[dict[str, Any]] = {
    "id": 1014568510009, "call_id": "8f3c2b1a9d7e4c60", "pool_key": "FC100000000000001", "sub_id": 20240305001,
    "phone_no": "13800000001", "secret_no": "17000000002", "peer_no": "13900000003", "call_type": 0,
    "called_display_no": "17000000002", "call_time": "2024-03-05 14:07:08", "call_out_time": "2024-03-05 14:07:09",
    "ring_time": "2024-03-05 14:07:13", "free_ring_time": "2024-03-05 14:07:13",
    "start_time": "2024-03-05 14:07:20", "release_time": "2024-03-05 14:08:25", "release_dir": 1,
    "release_cause": 16, "unconnected_cause": 0, "control_type": "CONTINUE", "control_msg": "OK",
}  # fmt: skip

# The published answer (xmode_call_control_response_continue.json), and the callee under the names of the sibling API in
# lowerCamel, flat and in subs [inferred]: docs/protocols/aliyun-pnp.md section 3. The display number is the X that was
# dialled.
_CALLEE: Final = {"calledNo": "13900000003", "calledDisplayNo": "17000000002"}
_X_ANSWER: Final[dict[str, Any]] = {
    "code": "OK",
    "message": "success",
    "model": {
        "controlOperate": "CONTINUE",
        "controlMsg": "OK",
        "subsId": "20240305001",
        "callNoPlayCode": "185",
        **_CALLEE,
        "subs": {**_CALLEE, "subsId": "20240305001"},
    },
}

# The path names the type, as docs/platforms.md advises.
_RECEIPTS: Final = {
    "SecretStartReport": "secret_start_report.json",
    "SecretRingReport": "secret_ring_report.json",
    "SecretReport": "secret_report.json",
    "SecretAsrReport": "secret_asr_report.json",
    "SmartLogisticsReport": "smart_logistics_report.json",
    "NumberManagementReport": "number_management_report.json",
    "SecretExceptionPhoneReport": "secret_exception_phone_report.mns.json",
}
NUMBER_CHANGES: Final = [(source, "number_management_report.json") for source in ("aliyun-axb", "aliyun-axn")]
OTHER_NOTICES: Final = [
    (source, name)
    for source in ("aliyun-axb", "aliyun-axn")
    for name in (
        "secret_asr_report.json",
        "smart_logistics_report.json",
        "secret_exception_phone_report.mns.json",
    )
]


def _events(mode: str) -> list[Push]:
    names = _EVENTS[1:] if mode == "x" else _EVENTS  # of X mode no callin was published
    return samples(*(f"{mode}-event-{name}.json" for name in names), path="/status")


def _fee(mode: str) -> list[Push]:
    return samples(f"{mode}-fee.json", path="/fee")


def _private_number(mode: str, *more: Push, first: tuple[Push, ...] = (), **settings: Any) -> Account:
    return Account(
        name=f"huawei-{mode}",
        platform="huawei_privatenumber",
        pushes=[*first, *_events(mode), *_fee(mode), *more],
        settings=settings,
    )


def _notice(mode: str) -> Push:
    return Push(body=f"{mode}-sms-notify.json", path="/sms")


# docs/protocols/jiuyun-axb.md section 4, the rows of types that have no published sample; their times may be spelled as
# type 10's are.
_OLDER: Final = {"appId": "app", "caller": "13800000001", "called": "13900000003", "dateCreated": "20240305140826"}
_LEGS: Final = {"startTimeA": "20240305140712", "startTimeB": "20240305140720", "endTime": "20240305140825"}
_ONE_START: Final = {"startTime": "20240305140720", "endTime": "20240305140825"}
_ENDED: Final = {"duration": "65", "recordUrl": "", "byeType": "0"}
_OLDER_TYPES: Final[dict[str, dict[str, str]]] = {
    "7": {**_OLDER, "type": "7", "subType": "0", **_LEGS, **_ENDED, "userData": "null"},
    "8": {**_OLDER, "type": "8", "subType": "0", **_ONE_START, **_ENDED},
    "9": {**_OLDER, "type": "9", "subType": "0", **_ONE_START, **_ENDED},
    "10": {
        **_OLDER, "type": "10", "telX": "17000000002", "startTimeA": "2024-03-05 14:07:12",
        "startTimeB": "2024-03-05 14:07:20", "endTime": "2024-03-05 14:08:25", **_ENDED,
        "userFlag": "1", "byeType": "16",
    },
    "dtmf": {"caller": "13800000001", "called": "13900000003", "dtmfNumber": "12", **_ONE_START, "duration": "65"},
}  # fmt: skip


def _hangup(call_id: str, fields: dict[str, str]) -> bytes:
    row = {"action": "Hangup", "callId": call_id, **fields}
    return f"<req>{''.join(f'<{name}>{value}</{name}>' for name, value in row.items())}</req>".encode()


HUAWEI: Final = [
    _private_number(
        "ax",
        Push(body="ax-sms-block.json", path="/sms-control", answer="ax-sms-block-response-route.json"),
        _notice("ax"),
        control=True,
    ),
    _private_number("axb", _notice("axb")),
    _private_number("axe"),
    _private_number("axyb"),
    # docs/protocols/huawei-privatenumber.md section 3, Per-mode: the AXYB demo says serviceType 003, which means AX:
    # the operator knows better.
    Account(
        name="huawei-axyb-003",
        platform="huawei_privatenumber",
        pushes=samples("axyb-fee-servicetype-003.json", path="/fee"),
        settings={"mode": "AXYB", "call_events": False},
    ),
    _private_number(
        "x",
        _notice("x"),
        first=(Push(body=_X_CALL_IN, path="/status", answer="x-event-callin-block-response-connect.json"),),
        control=True,
    ),
]

VOICE: Final = [
    Account(
        name="voice-callback",
        platform="huawei_voicecall",
        pushes=samples(
            "callback-status-callout-lega.json",
            "callback-status-alerting-lega.json",
            "callback-status-answer-lega.json",
            "callback-status-callout-legb.json",
            "callback-status-disconnect.json",
            "callback-fee.json",
        ),
        settings={"settle": "500ms"},
    ),
    *(
        Account(
            name=f"voice-{product}",
            platform="huawei_voicecall",
            # docs/protocols/huawei-voicecall.md section 2: one table for both; the CDR does not tell them apart, so the
            # URL does
            pushes=samples(
                *(f"{product}-status-{name}.json" for name in _EVENTS[1:]), "notify-fee.json", path=f"/{product}"
            ),
        )
        for product in ("notify", "verify")
    ),
]

ALIYUN: Final = [
    Account(
        name="aliyun-axb",
        platform="aliyun_pnp",
        pushes=[Push(body=name, path=f"/{named}") for named, name in _RECEIPTS.items()],
        settings={"mode": "AXB"},
    ),
    # The same from a pool of AXN, all to one URL: told by shape.
    Account(name="aliyun-axn", platform="aliyun_pnp", pushes=samples(*_RECEIPTS.values())),
    Account(
        name="aliyun-x",
        platform="aliyun_pnp",
        pushes=[
            Push(body="xmode_call_control_request.form", answer=_X_ANSWER),
            Push(body=[_X_REPORT], path="/SecretReport"),
        ],
        settings={
            "mode": "X",
            "control": True,
            "app_secret": f"env:{SECRET_VARIABLE}",
            "clock_skew": "20000d",  # the published question is of 2024
        },
    ),
]

JIUYUN: Final = [
    Account(name=f"jiuyun-{name}", platform="jiuyun_axb", pushes=samples(*files))
    for name, files in {
        "22": ("axb_hangup.xml", "axb_hangup_unanswered.xml", "axb_hangup_wrapped.INFERRED.json"),
        "1": ("type1_hangup.xml",),
        "2": ("type2_call_invite.xml", "type2_call_establish.xml", "type2_hangup.xml"),
        "voice": ("voice_notify.xml",),
        "code": ("voice_code_notify.xml",),
    }.items()
]
OLDER: Final = Account(
    name="jiuyun-older",
    platform="jiuyun_axb",
    pushes=[Push(body=_hangup(name, fields)) for name, fields in _OLDER_TYPES.items()],
)

ACCOUNTS: Final = [*HUAWEI, *VOICE, *ALIYUN, *JIUYUN, OLDER]
