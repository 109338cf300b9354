"""The ledger's equations, and when a difference counts."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from console.ledger import COUNTS, differences, totals
from schemas.envelope import JsonObject

CLOSED = datetime(2026, 11, 21, 10, 15, tzinfo=UTC)
OPEN = datetime(2026, 11, 21, 10, 14, 59, tzinfo=UTC)


def a_row(**counts: int) -> JsonObject:
    return {**dict.fromkeys(COUNTS, 0), "source": "bj", "hour": "2026-11-21T09", **counts}


def test_a_balanced_hour_has_no_differences() -> None:
    row = a_row(answered=3, receipts=4, items=6, unique=2, amended=1, duplicate=2, quarantined=1)
    row |= {"sessions": 3, "completed": 1, "incomplete": 1, "open": 1}
    assert differences([row], now=CLOSED) == []


@pytest.mark.parametrize(
    "counts",
    [
        {"answered": 3, "receipts": 2},
        {"items": 3, "unique": 2},
        {"sessions": 2, "completed": 1},
    ],
)
def test_each_equation_that_does_not_hold_is_told_and_counts_once_the_window_is_closed(counts: dict[str, int]) -> None:
    (told,) = differences([a_row(**counts)], now=CLOSED)
    assert told.startswith("bj 2026-11-21T09: ")
    assert "in flight" not in told
    (meanwhile,) = differences([a_row(**counts)], now=OPEN)
    assert "in flight" in meanwhile


def test_totals_add_all_rows_up() -> None:
    assert totals([a_row(items=2, unique=2), a_row(items=3, duplicate=3)])["items"] == 5
