"""What a private outlet sees of an event is still what the schema of its type says."""

from __future__ import annotations

from itertools import product
from typing import Final

import orjson
import pytest

from schemas.privacy.view import RAW, TIMELINE, Manner, View
from tests.building.contract import GOLDEN, Golden
from tests.building.schemas import problems

KEY: Final = b"0123456789abcdef0123456789abcdef"
MANNERS: Final[tuple[Manner, ...]] = ("clear", "mask", "token", "drop")
WITHOUT: Final = (frozenset[str](), frozenset({RAW, TIMELINE}))


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden.name)
def test_a_golden_event_stays_valid_whatever_an_outlet_may_see(golden: Golden) -> None:
    for manner, without in product(MANNERS, WITHOUT):
        view = View(numbers=manner, text=manner, user_data=manner, without=without, key=KEY)
        seen = view(golden.envelope).body
        assert isinstance(seen, bytes)
        assert problems(orjson.loads(seen)) == [], (manner, sorted(without))
