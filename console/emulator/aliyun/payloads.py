"""Aliyun's receipts, field by field; ids switch between string and number.

Source: docs/protocols/aliyun-pnp.md sections 4.1 to 4.4.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import Any

from console.emulator.aliyun.calls import PnpCall
from console.emulator.moments import beijing, beijing_digits
from console.emulator.push import Content

CONTENT_TYPE = "application/json;charset=utf-8"


def start_report(call: PnpCall, rng: Random) -> Content:
    """SecretStartReport; its `id` is a string where SecretReport has a number."""
    return {
        **_parties(call, rng),
        "partner_key": call.pool_key,
        "called_display_no": call.secret,
        "unconnected_cause": call.ending.unconnected_cause,
        "call_time": beijing(call.called_at),
        "id": str(call.report_id - 1),
        "control_type": _control(call)[0],
    }


def ring_report(call: PnpCall, rng: Random) -> Content:
    """SecretRingReport; the MNS table spells `ring_Time`, the HTTP page `ring_time`."""
    assert call.rang_at is not None
    return {**_parties(call, rng), "call_time": beijing(call.called_at), "ring_time": beijing(call.rang_at)}


def pick_up_report(call: PnpCall, rng: Random) -> Content:
    """SecretPickUpReport: as ringing, and when it was answered."""
    assert call.answered_at is not None
    return ring_report(call, rng) | {"start_time": beijing(call.answered_at)}


def report(call: PnpCall, rng: Random, *, record_url: str) -> Content:
    """SecretReport. Each time is that of the step before where a step was not reached."""
    rang = call.rang_at or call.out_at
    return {
        **_parties(call, rng),
        "partner_key": call.pool_key,
        "id": call.report_id if rng.getrandbits(1) else str(call.report_id),
        "called_display_no": call.secret,
        "call_time": beijing(call.called_at),
        "call_out_time": beijing(call.out_at),
        "ring_time": beijing(rang),
        "free_ring_time": beijing(rang),
        "start_time": beijing(call.answered_at or call.released_at),
        "release_time": beijing(call.released_at),
        "release_dir": call.release_dir,
        "release_cause": call.ending.release_cause,
        "unconnected_cause": call.ending.unconnected_cause,
        "control_type": _control(call)[0],
        "control_msg": _control(call)[1],
        "record_url": record_url,
        "ring_record_url": "",
    }


def recording(call: PnpCall, rng: Random) -> Content:
    """SecretRecording: `call_time` in epoch milliseconds, and no address."""
    milliseconds = int(call.called_at.timestamp()) * 1000
    return {
        "pool_key": call.pool_key,
        "sub_id": _switching(rng, call.sub_id),
        "call_id": call.call_id,
        "call_time": _switching(rng, milliseconds),
        "out_id": call.out_id,
    }


def control(call: PnpCall) -> Content:
    """The business parameters of a call-control query (section 3), without the empty ones."""
    extension = {"extension": call.extension} if call.extension else {}
    return {
        "callNo": call.a,
        "secretNo": call.secret,
        **extension,
        "recordType": "CAL",
        "callTime": beijing_digits(call.called_at),
        "callId": call.call_id,
    }


def array(contents: Sequence[Content]) -> bytes:
    """The body is an array, also of one."""
    return json.dumps(contents, separators=(",", ":"), ensure_ascii=False).encode()


def _parties(call: PnpCall, rng: Random) -> Content:
    extension = {"extension": call.extension} if call.extension else {}
    return {
        "phone_no": call.a,
        "secret_no": call.secret,
        "peer_no": call.b,
        "pool_key": call.pool_key,
        "sub_id": _switching(rng, call.sub_id),
        "city": "杭州",
        "out_id": call.out_id,
        "call_id": call.call_id,
        "call_type": _switching(rng, call.call_type),
        **extension,
    }


def _control(call: PnpCall) -> tuple[str, str]:
    return ("CONTINUE", "OK") if call.ending.went_out else ("REJECT", "NO_SUBS_EXIST")


def _switching(rng: Random, value: int) -> Any:
    return value if rng.getrandbits(1) else str(value)
