"""The JSON of VoiceCall's call status and CDRs, field by field.

Source: docs/protocols/huawei-voicecall.md sections 1 and 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from console.emulator.huawei.pushes import RECORD_DOMAIN, encode
from console.emulator.huawei.voicecall.calls import VoiceCall
from console.emulator.push import Content

SERVICE_TYPES: Final = {"callback": "002", "notify": "001", "verify": "001"}
EVENT_TYPES: Final = {"start": "callout", "ring": "alerting", "answer": "answer"}
A_TIMES: Final = {"callOutStartTime": "start_a", "callOutAlertingTime": "ring_a", "callOutAnswerTime": "answer_a"}
B_TIMES: Final = {"fwdStartTime": "start_b", "fwdAlertingTime": "ring_b", "fwdAnswerTime": "answer_b"}


def stamp(call: VoiceCall, moment: datetime) -> str:
    """UTC without a zone mark; in old demo data with two spaces."""
    return f"{moment:%Y-%m-%d}{'  ' if call.old_dates else ' '}{moment:%H:%M:%S}"


def status(call: VoiceCall, step: str) -> Content:
    """One call status; both legs have one session id and are told apart by `called` alone."""
    info: Content = {"sessionId": call.session_id, "timestamp": stamp(call, call.times.get(step, call.times["end"]))}
    if step == "digits":
        return {"eventType": "collectInfo", "statusInfo": info | {"digitInfo": call.digits, "userData": call.user_data}}
    called = call.user_b if step.endswith("_b") else call.user_a
    info |= {"caller": call.display, "called": called, "userData": call.user_data}
    if step != "end":
        return {"eventType": EVENT_TYPES[step.partition("_")[0]], "statusInfo": info}
    party = {"partyType": "caller"} if call.product == "callback" else {}
    codes = {"stateCode": call.ending.state_code, "stateDesc": call.ending.state_desc}
    return {"eventType": "disconnect", "statusInfo": info | party | codes}


def cdr(call: VoiceCall, *, link: str = "") -> Content:
    """One entry of `feeLst`; `callerNum` is a display number, `calleeNum` the user who is called first.

    With a `link` the recording is announced by recordFileDownloadUrl, and by name otherwise.
    """
    head: Content = {
        "direction": 0,
        "spId": "EMULATED_SP_01",
        "icid": call.record_id,
        "bindNum": call.bind_number,
        "sessionId": call.session_id,
        "callerNum": call.display,
        "calleeNum": call.user_a,
    }
    times = {name: stamp(call, call.times[step]) for name, step in A_TIMES.items() if step in call.times}
    ended = {"callEndTime": stamp(call, call.times["end"])}
    return head | _second_leg(call) | ended | _codes(call) | times | _tail(call, link)


def fee(records: Sequence[Content], *, app_key: str) -> bytes:
    """Up to 50 CDRs that ended in one second."""
    return encode({"eventType": "fee", "feeLst": [{"appKey": app_key, **record} for record in records]})


def _second_leg(call: VoiceCall) -> Content:
    """Absent in the table of notify."""
    if not call.reached_b:
        return {}
    numbers = {"fwdDisplayNum": call.display, "fwdDstNum": call.user_b}
    return numbers | {name: stamp(call, call.times[step]) for name, step in B_TIMES.items() if step in call.times}


def _codes(call: VoiceCall) -> Content:
    """`failTime` is empty on success; the reason belongs to the leg that failed."""
    ending, on_b = call.ending, call.reached_b
    return {
        "fwdUnaswRsn": ending.q850 if on_b else 0,
        "failTime": stamp(call, call.times["end"]) if ending.fail_reason else "",
        "ulFailReason": ending.fail_reason,
        "sipStatusCode": ending.sip,
        "callOutUnaswRsn": 0 if on_b else ending.q850,
    }


def _tail(call: VoiceCall, link: str) -> Content:
    played = {} if call.product == "callback" else {"ttsPlayTimes": 1, "ttsTransDuration": 2}
    return {
        "dynIVRStartTime": "",
        "dynIVRPath": call.digits or "",
        **_recording(call, link),
        **played,
        "serviceType": SERVICE_TYPES[call.product],
        "hostName": call.host,
        "userData": call.user_data,
    }


def _recording(call: VoiceCall, link: str) -> Content:
    if not call.object_name:
        return {"recordFlag": 0}
    return {
        "recordFlag": 1,
        "recordStartTime": stamp(call, call.times["answer_b"]),
        "recordObjectName": "" if link else call.object_name,
        "recordBucketName": "sp-emulated-bucket",
        "recordDomain": "" if link else RECORD_DOMAIN,
        "recordFileDownloadUrl": link,
    }
