"""The demo's report: the last call of every kind in a stable order, and a pointer to evidence that is there."""

from __future__ import annotations

from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from console.demo.report import EVIDENCE, last_of_each_kind, show_calls, show_evidence, show_timeline
from console.screen import out

SHANGHAI = ZoneInfo("Asia/Shanghai")


def a_record(number: int, **changes: Any) -> dict[str, Any]:
    record: dict[str, Any] = {
        "id": f"huawei:{number}", "source": "huawei", "product": "privatenumber", "mode": "AXB",
        "ended_at": f"2026-01-01T00:{number:02d}:00Z", "caller": "+8613800000001", "callee": "+8613800000002",
        "private_number": None, "outcome": "answered", "ring_seconds": 1, "talk_seconds": 2, "revision": 1,
        "decision": None, "recordings": [], "timeline": [],
    }  # fmt: skip
    return record | changes


def an_event(kind: str, record: dict[str, Any], revision: int) -> dict[str, Any]:
    event_id = f"{record['id']}/{revision}"
    what = {"type": f"callstitch.{kind}.v1", "id": event_id, "subject": record["id"], "revision": revision}
    return what | {"data": {"call": record}}


def written(show: Any, *arguments: Any) -> str:
    text = StringIO()
    with redirect_stdout(text):
        show(out, *arguments)
    return text.getvalue()


@pytest.mark.parametrize("order", [list, reversed])
def test_every_kind_of_call_is_shown_by_its_last_one_in_the_same_order_whatever_came_first(order: Any) -> None:
    records = [
        a_record(1),
        a_record(2, mode="AXE"),
        a_record(3),
        a_record(4, source="voicecall", product="verify", mode=None),
        a_record(5, source="voicecall", product="notify", mode=None, ended_at=None),
        a_record(6, source="aliyun", product="pnp", mode=None),
        a_record(7, source="voicecall", product="verify", mode=None, ended_at=None),
    ]
    assert [(*kind, record["id"]) for kind, record in last_of_each_kind(order(records)).items()] == [
        ("aliyun", "pnp", "", "huawei:6"),
        ("huawei", "privatenumber", "AXB", "huawei:3"),
        ("huawei", "privatenumber", "AXE", "huawei:2"),
        ("voicecall", "notify", "", "huawei:5"),
        ("voicecall", "verify", "", "huawei:4"),
    ]


def test_the_calls_of_each_kind_are_counted_and_the_numbers_of_the_last_one_masked() -> None:
    records = {str(n): a_record(n, mode="AXE" if n == 3 else "AXB") for n in range(4)}
    private = {
        "private_number": "+8617010000002",
        "decision": {"action": "connect"},
        "recordings": [{"state": "stored"}],
    }
    records["3"] |= private

    assert written(show_calls, records, SHANGHAI).splitlines() == [
        "4 calls: how many of each kind, and the last one of it",
        "(numbers masked, times in Asia/Shanghai)",
        "   3  huawei privatenumber AXB  answered  ended 2026-01-01 08:02:00",
        "      +86138****0001 > +86138****0002  rang 1 s  talked 2 s  revision 1",
        "   1  huawei privatenumber AXE  answered  ended 2026-01-01 08:03:00",
        "      +86138****0001 > +86170****0002 > +86138****0002  rang 1 s  talked 2 s",
        "      revision 1  decided: connect  recording stored",
    ]


def test_one_call_is_told_though_the_last_event_is_about_no_call() -> None:
    told = an_event("call.completed", a_record(1), 1)
    sms = {"type": "callstitch.sms.notified.v1", "id": "s", "subject": "huawei:m", "revision": 1, "data": {"sms": {}}}
    decided = {"type": "callstitch.call.decided.v1", "id": "d", "subject": "huawei:1", "data": {"decision": {}}}

    lines = written(show_timeline, [told, decided, sms], SHANGHAI).splitlines()
    assert lines == ["", "one call: huawei:1", "  revision 1: call.completed"]
    assert written(show_timeline, [sms], SHANGHAI) == ""


def test_the_report_ends_with_the_evidence_and_with_what_to_do_next() -> None:
    text = written(show_evidence, Path("var/demo"), [an_event("recording.stored", a_record(1), 2)])

    assert "var/demo/" in text
    assert all(name in text for name in EVIDENCE)
    assert "trace --config var/demo/config.toml \\\n    huawei:1\n" in text
    assert text.index("callstitch up") > text.index("callstitch trace")
