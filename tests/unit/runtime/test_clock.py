"""A clock counts on by the monotonic clock from the moment that it was given."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from runtime.clock import counting_from, system_clock, system_seconds


def test_a_clock_counts_on_from_its_start_and_takes_no_notice_of_the_wall(monkeypatch: pytest.MonkeyPatch) -> None:
    passed = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: passed)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    start = datetime(2026, 11, 21, 8, tzinfo=UTC)
    clock = counting_from(start)
    assert clock() == start
    passed += 1.5
    assert clock() == start + timedelta(seconds=1.5)


def test_the_system_clock_starts_at_the_wall_and_tells_utc() -> None:
    before, now, after = datetime.now(UTC), system_clock()(), datetime.now(UTC)
    assert before <= now <= after + timedelta(milliseconds=1)
    assert now.tzinfo is UTC


def test_seconds_are_read_off_the_wall_once_too(monkeypatch: pytest.MonkeyPatch) -> None:
    passed, wall = 100.0, 1_795_248_000.0
    monkeypatch.setattr(time, "monotonic", lambda: passed)
    monkeypatch.setattr(time, "time", lambda: wall)
    seconds = system_seconds()
    passed, wall = passed + 1.5, 0.0
    assert seconds() == 1_795_248_001.5
