"""Pushes that try to become much more than they are, each a table row: a source, and the bodies that it posts."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from schemas.notification import Notification
from tests.building.pushes import JSON, XML

HUAWEI, ALIYUN, JIUYUN = "huawei", "aliyun", "jiuyun"
TIMES: Final = {
    "callInTime": "2026-11-26 09:00:00",
    "fwdAnswerTime": "2026-11-26 09:00:09",
    "callEndTime": "2026-11-26 09:01:00",
}


def a_push(body: Any, *, content_type: str = JSON, packed: bool = False) -> Notification:
    """A push as the door stores it."""
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent, headers = (gzip.compress(sent, mtime=0), {"content-encoding": "gzip"}) if packed else (sent, {})
    return Notification(path="/any", remote="192.0.2.1", content_type=content_type, headers=headers, body=sent)


def fees(*records: Any, **more: Any) -> Notification:
    return a_push({"eventType": "fee", "feeLst": list(records), **more})


def a_cdr(n: int, session: str | None = None, **more: str) -> dict[str, str]:
    numbers = {"callerNum": "+8613800000021", "calleeNum": "+8613800000022", "fwdDstNum": "+8613866887021"}
    return {"sessionId": session or f"s{n}@x", "icid": f"r{n}", **numbers, **TIMES, **more}


def an_event(n: int, session: str, pad: int) -> Notification:
    info = {"sessionId": session, "timestamp": f"2026-11-26 09:{n // 60:02}:{n % 60:02}", "caller": "+8613800000021"}
    return a_push({"eventType": "alerting", "statusInfo": {**info, "called": f"+86138{n:08}", "pad": "x" * pad}})


def noise(size: int) -> str:
    return hashlib.shake_128(b"any").hexdigest(size // 2)


def deep(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


XML_PUSH: Final = (
    "<req><recordId>r{n}</recordId><callId>c{n}</callId><telA>13800000021</telA><telX>17000000022</telX></req>"
)

INPUTS: Final[Mapping[str, tuple[str, Callable[[], Sequence[Notification]]]]] = {
    "a thousand bad items in 1 MiB": (HUAWEI, lambda: [fees(*[1] * 1000, pad="x" * 1_040_000)]),
    "200 pushes of 50 CDRs whose time nobody knows": (
        HUAWEI,
        lambda: [fees(*(a_cdr(50 * m + n, callInTime="noon") for n in range(50))) for m in range(200)],
    ),
    "a good item beside 999 bad ones": (HUAWEI, lambda: [fees(a_cdr(1), *[1] * 999, pad="x" * 1_000_000)]),
    "items that are large and bad": (
        ALIYUN,
        lambda: [a_push([{"call_id": 1.5, "x": f"{n}" * 300} for n in range(1000)])],
    ),
    "lists as deep and as many as are read": (
        ALIYUN,
        lambda: [a_push([{"call_id": f"c{n}", "a": [deep(26) for _ in range(7)]} for n in range(100)])],
    ),
    "more brackets than are read": (HUAWEI, lambda: [a_push(b'{"a":[' + b"[]," * 340_000 + b"[]]}")]),
    "gzip of many lists": (
        ALIYUN,
        lambda: [a_push([{"call_id": "x", "p": noise(190_000), "a": [deep(26) for _ in range(15_000)]}], packed=True)],
    ),
    "gzip that becomes fifty times as much": (
        HUAWEI,
        lambda: [
            a_push({"feeLst": [a_cdr(50 * m + n, userData=noise(2000)) for n in range(50)]}, packed=True)
            for m in range(20)
        ],
    ),
    "400 CDRs of one call": (
        HUAWEI,
        lambda: [fees(*(a_cdr(50 * m + n, session="one@x") for n in range(50))) for m in range(8)],
    ),
    "290 events of one call, then its CDR": (
        HUAWEI,
        lambda: [*(an_event(n, "one@x", 1000) for n in range(290)), fees(a_cdr(1, session="one@x"))],
    ),
    "20 events of 1 MiB of one call, then its CDR": (
        HUAWEI,
        lambda: [*(an_event(n, "one@x", 1_040_000) for n in range(20)), fees(a_cdr(1, session="one@x"))],
    ),
    "50 CDRs of 20 KB of one call": (
        HUAWEI,
        lambda: [fees(*(a_cdr(n, session="one@x", pad=f"{n}" * 10_000) for n in range(50)))],
    ),
    "the smallest items": (ALIYUN, lambda: [a_push([{"call_id": str(n)} for n in range(1000)])]),
    "the smallest CDRs": (HUAWEI, lambda: [fees(*({"sessionId": str(n)} for n in range(1000)))]),
    "the smallest XML": (JIUYUN, lambda: [a_push(XML_PUSH.format(n=n).encode(), content_type=XML) for n in range(300)]),
    "the same push a hundred times": (HUAWEI, lambda: [fees(*(a_cdr(n) for n in range(50)))] * 100),
    "a hundred versions of one CDR": (HUAWEI, lambda: [fees(a_cdr(1, userData=f"v{n}" * 100)) for n in range(100)]),
}
