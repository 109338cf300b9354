"""What an outlet has taken, and where that cannot be told."""

from __future__ import annotations

from typing import Any

import pytest

from console.ledger.outlets import Outlet


@pytest.mark.parametrize(
    ("known", "taken"),
    [
        ({}, 9),
        ({"held": 2, "dead": 1}, 6),
        ({"held": None}, None),
        ({"bound": False}, None),
        ({"held": 10}, None),
        ({"uncounted": ("call.decided",)}, 9),
        ({"uncounted": ("call.decided",), "held": 2}, None),
        ({"uncounted": ("call.decided",), "dead": 2}, None),
        ({"batches": True}, 9),
        ({"batches": True, "held": 1}, None),
        ({"stream": True}, None),
        ({"fed": True}, None),
        ({"filtered": True}, None),
    ],
)
def test_taken_is_told_where_both_sides_count_the_same(known: dict[str, Any], taken: int | None) -> None:
    given = {"queue": "billing", "offered": 9, "held": 0, "dead": 0, "bound": True, **known}
    assert Outlet(**given).taken == taken
