"""What is pushed to make a state, and what it lacks: calls and an SMS, each told up to another point."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from tests.compat.stored import Telling
from tests.e2e.platforms import content_of

_HUAWEI: Final = "huawei_privatenumber"
_SESSION: Final = "1200_1827_4294967295_20190124023003@callenabler246.huaweicaas.com"
_EVENTS: Final = ("callin", "callout", "alerting", "answer", "disconnect")


def tellings() -> Iterator[Telling]:
    """All of them, in the order in which they are pushed."""
    yield from _before()
    yield _fee("amended", "amended", userData="changed")
    yield from _call("outbox", "said-but-unsent", *_EVENTS)
    yield _fee("outbox", "said-but-unsent")
    yield from _call("unique", "parsed", *_EVENTS)
    yield _fee("unique", "parsed", recordFlag=0)
    yield from _call("received", "accepted", *_EVENTS)
    yield _fee("received", "accepted")
    yield _fee("received", "whole")  # again: a duplicate that nobody has looked at
    yield from _rest()


def _before() -> Iterator[Telling]:
    """What the old version had done all it could with."""
    yield from _call("before", "whole", *_EVENTS)
    yield _fee("before", "whole")  # its recording cannot be had
    yield _fee("before", "amended")
    yield _fee("before", "without-events", recordFlag=0)
    yield from _call("before", "without-cdr", *_EVENTS)
    yield from _call("before", "begun", "callin", "callout")
    yield from _call("before", "overdue", *_EVENTS, source="hasty")
    yield _sample("before", "huawei", _HUAWEI, "ax-sms-block.json", "/sms-control")
    yield _sample("before", "voice", "huawei_voicecall", "callback-status-callout-lega.json")
    yield _sample("before", "aliyun", "aliyun_pnp", "secret_start_report.json", "/SecretStartReport")
    yield _sample("before", "aliyun", "aliyun_pnp", "number_management_report.json", "/NumberManagementReport")
    yield _sample("before", "aliyun", "aliyun_pnp", "smart_logistics_report.json", "/SmartLogisticsReport")
    yield _sample("before", "jiuyun", "jiuyun_axb", "axb_hangup.xml")
    yield _telling("before", "huawei", "/fee", "{")
    yield _telling("before", "huawei", "/fee", '{"eventType": "fee", "feeLst": [{"icid": "no session"}]}')


def _rest() -> Iterator[Telling]:
    """What comes after."""
    yield _fee("rest", "without-cdr", recordFlag=0)
    yield from _call("rest", "without-events", *_EVENTS)
    yield from _call("rest", "begun", "alerting", "answer", "disconnect")
    yield _fee("rest", "begun", recordFlag=0)
    yield _fee("rest", "overdue", source="hasty", recordFlag=0)
    yield _fee("rest", "whole", userData="changed")
    yield _fee("rest", "amended", userData="changed again")
    yield _sample("rest", "huawei", _HUAWEI, "ax-sms-notify.json", "/sms")
    yield _sample("rest", "voice", "huawei_voicecall", "callback-status-disconnect.json")
    yield _without("recordFlag", _sample("rest", "voice", "huawei_voicecall", "callback-fee.json"))
    yield _without("record_url", _sample("rest", "aliyun", "aliyun_pnp", "secret_report.json", "/SecretReport"))


def _call(phase: str, session: str, *events: str, source: str = "huawei") -> Iterator[Telling]:
    for event in events:
        body = content_of(_HUAWEI, f"axyb-event-{event}.json")[0].decode()
        yield _telling(phase, source, "/status", body.replace(_SESSION, session))


def _fee(phase: str, session: str, source: str = "huawei", **changes: Any) -> Telling:
    body = json.loads(content_of(_HUAWEI, "axyb-fee.json")[0])
    body["feeLst"][0] |= {"sessionId": session, **changes}
    return _telling(phase, source, "/fee", json.dumps(body))


def _sample(phase: str, source: str, platform: str, name: str, path: str = "") -> Telling:
    content, kind = content_of(platform, name)
    return Telling(phase=phase, source=source, path=path, content_type=kind, text=content.decode())


def _without(name: str, telling: Telling) -> Telling:
    """A CDR that announces no recording: this one nobody could fetch."""
    return replace(telling, text=telling.text.replace(f'"{name}"', f'"no_{name}"'))


def _telling(phase: str, source: str, path: str, text: str) -> Telling:
    return Telling(phase=phase, source=source, path=path, content_type="application/json;charset=UTF-8", text=text)
