"""What an outlet has taken, what it holds of that, and where neither can be told."""

from __future__ import annotations

from typing import Any

import pytest

from console.ledger.outlets import Outlet
from runtime.events.batch import BATCH_EVENTS


def an_outlet(known: dict[str, Any]) -> Outlet:
    given = {"queue": "billing", "offered": 900, "messages": 0, "dead": 0, "bound": True, **known}
    return Outlet(**given)


@pytest.mark.parametrize(
    ("known", "held", "taken", "least"),
    [
        ({}, 0, 900, 900),
        ({"messages": 2, "dead": 1}, 2, 897, 897),
        ({"messages": None}, None, None, None),
        ({"bound": False, "messages": 2}, 2, None, None),
        ({"messages": 901}, None, None, 0),
        ({"uncounted": ("call.decided",)}, 0, 900, 900),
        ({"uncounted": ("call.decided",), "messages": 2}, None, None, 898),
        ({"uncounted": ("call.decided",), "dead": 2}, 0, None, 898),
        ({"batches": True}, 0, 900, 900),
        ({"batches": True, "messages": 1}, None, None, 900 - BATCH_EVENTS),
        ({"stream": True}, None, None, None),
        ({"stream": True, "messages": 9}, None, None, None),
        ({"fed": True, "messages": 9}, 9, 891, 891),
        ({"fed": True, "messages": 9, "feed": 2}, None, None, 891 - 2 * BATCH_EVENTS),
        ({"fed": True, "messages": 9, "full": True}, None, None, None),
        ({"filtered": True, "messages": 9}, 9, None, None),
    ],
)
def test_what_is_held_and_taken_is_told_where_both_sides_count_the_same(
    known: dict[str, Any], held: int | None, taken: int | None, least: int | None
) -> None:
    outlet = an_outlet(known)
    assert (outlet.held, outlet.taken, outlet.least_taken) == (held, taken, least)
    assert outlet.figures == {"sent": outlet.sent, "held": held, "taken": taken, "least_taken": least}


def test_what_is_held_is_never_more_than_what_was_sent() -> None:
    for uncounted in ((), ("call.progress",)):
        for messages in range(5):
            outlet = an_outlet({"offered": 2, "messages": messages, "uncounted": uncounted})
            assert outlet.held is None or outlet.held <= 2
