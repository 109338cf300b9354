"""Equal lines come once a second, with how many they stand for; everything else comes as it is."""

from __future__ import annotations

import ast
import asyncio
import io
import json
import logging
import sys
from typing import Any

import pytest
import structlog

from runtime.logs import FLOODING, configure_logs
from tests.building.tree import ROOT, modules


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The lines so far, as values."""
    told = io.StringIO()
    monkeypatch.setattr(sys, "stderr", told)
    before = structlog.get_config()
    configure_logs(json=True)
    yield lambda: [json.loads(line) for line in told.getvalue().splitlines()]
    structlog.configure(**before)


def refused(remote: str = "a", **changes: Any) -> None:
    line = {"source": "unknown", "status": 404, "reason": "no such path", "remote": remote, **changes}
    structlog.get_logger().warning("door.refused", **line)


async def test_a_flood_is_one_line_at_once_and_one_a_second_with_the_count(logged: Any) -> None:
    for n in range(500):
        refused(f"10.0.0.{n}")
    assert [(line["remote"], line.get("times")) for line in logged()] == [("10.0.0.0", None)]
    await asyncio.sleep(1.1)
    assert [(line["event"], line["level"], line.get("times")) for line in logged()] == [
        ("door.refused", "warning", None),
        ("door.refused", "warning", 499),
    ]
    await asyncio.sleep(1.1)
    refused()
    assert [line.get("times") for line in logged()] == [None, 499, None], "once it was quiet, a line is told at once"


async def test_kinds_are_told_apart_and_numbers_make_none(logged: Any) -> None:
    refused()
    refused(source="pn")
    refused(status=503, reason="not stored, late: not all of 12 message(s) confirmed within 3 s")
    refused(status=503, reason="not stored, late: not all of 7 message(s) confirmed within 3 s")
    refused(status=503, reason="not stored, unroutable: no queue takes it")
    assert [(line["source"], line["reason"][:18]) for line in logged()] == [
        ("unknown", "no such path"),
        ("pn", "no such path"),
        ("unknown", "not stored, late: "),
        ("unknown", "not stored, unrout"),
    ]


def test_without_a_loop_the_next_line_tells_of_those_before(logged: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.logs.WINDOW_SECONDS", 0.0)
    refused()
    refused()
    assert [line.get("times") for line in logged()] == [None, 1]


async def test_what_no_stranger_can_repeat_is_never_held_back(logged: Any) -> None:
    for n in range(3):
        structlog.get_logger().error("envelope.dead", stage="dedupe", id=f"e{n}", reason="the same")
    assert [line["id"] for line in logged()] == ["e0", "e1", "e2"]


def test_each_line_that_is_limited_exists_with_the_fields_that_it_is_known_by() -> None:
    told: dict[str, list[set[str]]] = {}
    for path in modules():
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="log" | "_log")),
                    args=[ast.Constant(value=str(event)), *_],
                    keywords=keywords,
                ):
                    told.setdefault(event, []).append({keyword.arg or "" for keyword in keywords})
    for event, fields in FLOODING.items():
        if event != "foreign.logged":
            assert told.get(event), event
            assert all(set(fields) <= keywords for keywords in told[event]), event


def test_a_log_on_a_terminal_holds_nothing_that_it_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(json=False)
    try:
        structlog.get_logger().error("session.unreadable", call="pn:\x1b]0;PWNED\x07\x9b31m\u202e+8613800000021\nrow")
    finally:
        structlog.reset_defaults()
    (line,) = capsys.readouterr().err.splitlines()
    assert not [one for one in ("\x1b]", "\x07", "\x9b", "\u202e", "3800000021") if one in line]
    assert "\\x1b]0;PWNED" in line


@pytest.mark.parametrize("turn", [1, 2])
def test_no_test_finds_what_another_set_up(turn: int) -> None:
    assert not structlog.is_configured(), turn
    assert not [one for one in logging.getLogger().handlers if type(one).__module__ == "runtime.logs"]
    configure_logs(json=True)
