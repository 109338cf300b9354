"""The demo's report: the last call of every kind in a stable order, and a pointer to evidence that is there."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from console.demo.report import EVIDENCE, last_of_each_kind, show_calls, show_evidence, show_timeline


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
    show(Console(file=text, width=160), *arguments)
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


def test_the_table_counts_the_calls_of_each_kind_and_masks_their_numbers() -> None:
    records = {str(n): a_record(n, mode="AXE" if n == 3 else "AXB") for n in range(4)}

    lines = written(show_calls, records).splitlines()

    assert [line.split()[:4] for line in lines if line.startswith(" huawei")] == [
        ["huawei", "privatenumber", "AXB", "3"],
        ["huawei", "privatenumber", "AXE", "1"],
    ]
    assert "1380000" not in "".join(lines)


def test_one_call_is_told_though_the_last_event_is_about_no_call() -> None:
    told = an_event("call.completed", a_record(1), 1)
    sms = {"type": "callstitch.sms.notified.v1", "id": "s", "subject": "huawei:m", "revision": 1, "data": {"sms": {}}}
    decided = {"type": "callstitch.call.decided.v1", "id": "d", "subject": "huawei:1", "data": {"decision": {}}}

    lines = written(show_timeline, [told, decided, sms]).splitlines()
    assert lines == ["", "one call: huawei:1", "  revision 1: call.completed"]
    assert written(show_timeline, [sms]) == ""


def test_the_report_ends_with_the_evidence_and_with_what_to_do_next() -> None:
    text = written(show_evidence, Path("var/demo"), [an_event("recording.stored", a_record(1), 2)])

    assert "var/demo/" in text
    assert all(name in text for name in EVIDENCE)
    assert "trace --config var/demo/config.toml huawei:1" in text
    assert text.index("callstitch up") > text.index("callstitch trace")
