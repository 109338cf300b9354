"""The JSON of call events and CDRs, field by field from the page and its samples.

Source: docs/protocols/huawei-privatenumber.md sections 1 and 3.
"""

from __future__ import annotations

from collections.abc import Sequence

from console.emulator.huawei.privatenumber.calls import Call
from console.emulator.huawei.pushes import RECORD_DOMAIN
from console.emulator.moments import utc
from console.emulator.push import Content

SERVICE_TYPES = {"AX": "003", "AXB": "004", "AXE": "005", "AXYB": "007", "X": "004"}
UNANSWERED_REDIAL = {"fwdUnaswRsn": 16, "ulFailReason": 7501, "sipStatusCode": 487}
CDR_TIMES = {
    "callInTime": "callin",
    "fwdStartTime": "callout",
    "fwdAlertingTime": "alerting",
    "fwdAnswerTime": "answer",
    "callEndTime": "disconnect",
}


def event(call: Call, step: str) -> Content:
    """One call event with its envelope, as it is posted alone."""
    info: Content = {"sessionId": call.session_id, "timestamp": utc(call.times[step])}
    if step == "collectInfo":
        return {"eventType": step, "statusInfo": info | {"digitInfo": call.extension}}
    info |= _parties(call, step)
    if step == "disconnect":
        info |= {"stateCode": call.ending.state_code, "stateDesc": call.ending.state_desc}
    return {"eventType": step, "statusInfo": info | _binding(call, step)}


def _parties(call: Call, step: str) -> Content:
    """Callin: the real caller and X; later: X and the real callee (empty when there is none [inferred])."""
    if step == "callin":
        return {"caller": call.caller, "called": call.private_number}
    return {"caller": call.private_number, "called": call.callee or ""}


def _binding(call: Call, step: str) -> Content:
    """X has a mode and user data instead of a binding; an AXE callin comes before its binding is known."""
    if call.mode == "X":
        user_data = {"userData": call.user_data} if step != "callin" and call.user_data else {}
        return {"notifyMode": "Block" if call.asks and step == "callin" else "Notify"} | user_data
    if call.mode == "AXE" and step == "callin":
        return {}
    return {"subscriptionId": _binding_id(call)}


def _binding_id(call: Call) -> str:
    return "" if call.mode == "X" or call.ending.outcome == "blocked" else call.binding_id


def cdr(call: Call) -> Content:
    """The CDR of a call, one entry of `feeLst`; times and the callee only as far as the call came."""
    times = {name: utc(call.times[step]) for name, step in CDR_TIMES.items() if step in call.times}
    return _head(call, call.record_id) | times | _codes(call) | _recording(call) | _tail(call)


def redial_cdr(call: Call) -> Content:
    """The second CDR of a handset's own redial: another record id, no times (section "Links")."""
    codes = UNANSWERED_REDIAL | {"callOutUnaswRsn": 0}
    return _head(call, call.redial_id) | codes | {"recordFlag": 0} | _tail(call)


def fee(records: Sequence[Content], *, app_key: str) -> Content:
    """Up to 50 CDRs of calls that ended together, each with the account's key."""
    return {"eventType": "fee", "feeLst": [_with_key(record, app_key) for record in records]}


def _with_key(record: Content, app_key: str) -> Content:
    head = {"direction": record["direction"], "spId": record["spId"], "appKey": app_key}
    return head | record


def _head(call: Call, record_id: str) -> Content:
    forwarded = {"fwdDisplayNum": call.private_number, "fwdDstNum": call.callee} if call.callee else {}
    return {
        "direction": call.direction,
        "spId": "EMULATED_SP_01",
        "icid": record_id,
        "bindNum": call.private_number,
        "sessionId": call.session_id,
        "subscriptionId": _binding_id(call),
        "callerNum": call.caller,
        "calleeNum": call.private_number,
    } | forwarded


def _codes(call: Call) -> Content:
    failed = {"failTime": utc(call.times["disconnect"])} if call.ending.fail_reason else {}
    return {
        "fwdUnaswRsn": call.ending.q850,
        **failed,
        "ulFailReason": call.ending.fail_reason,
        "sipStatusCode": call.ending.sip,
        "callOutUnaswRsn": 0,
    }


def _recording(call: Call) -> Content:
    if not call.object_name:
        return {"recordFlag": 0}
    return {
        "recordFlag": 1,
        "recordStartTime": utc(call.times["answer"]),
        "recordDomain": RECORD_DOMAIN,
        "recordBucketName": "sp-emulated-bucket",
        "recordObjectName": call.object_name,
    }


def _tail(call: Call) -> Content:
    extension = {"extendNumber": call.extension} if call.extension else {}
    user_data = {"userData": call.user_data} if call.user_data else {}
    x_mode = {**user_data, "notifyMode": "Block"} if call.mode == "X" else {}
    return {
        "ttsPlayTimes": 0,
        "ttsTransDuration": 0,
        "mptyId": call.binding_id,
        "serviceType": SERVICE_TYPES[call.mode],
        "hostName": call.host,
        **extension,
        **x_mode,
    }
