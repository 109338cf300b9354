"""A plain push goes a short way past aiohttp (runtime/port/short_way.py); nobody can tell which way one was served.

Each play runs at two doors, one with the short way and one without, and all that can be seen of them is compared: the
bytes of the answers, what is stored, counted and logged, and when a connection ends. uvloop, as in production.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import aiohttp
import pytest

from ingest.plain_push import PlainPush
from runtime.port.short_way import IS_KNOWN
from tests.building.door_plays import PLAYS, SOURCES
from tests.building.two_doors import AtDoor, a_door, on_uvloop, statuses, without_dates


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> list[PlainPush]:
    """All that went the short way."""
    seen: list[PlainPush] = []
    begin = PlainPush.begin

    def noted(self: PlainPush, *arguments: Any) -> None:
        seen.append(self)
        begin(self, *arguments)

    monkeypatch.setattr(PlainPush, "begin", noted)
    return seen


async def played(door: AtDoor, pieces: Sequence[bytes | None]) -> bytes:
    """All that one connection hears; what it says next waits until nothing more comes."""
    wire, heard = await door.connect(), b""
    for piece in pieces:
        if piece is None:
            wire.send_no_more()
        else:
            wire.send(piece)
        heard += await wire.quiet()
    return without_dates(heard)


@pytest.mark.parametrize("name", PLAYS)
@on_uvloop
async def test_both_doors_are_one(name: str, short: list[PlainPush]) -> None:
    seen = []
    for short_way in (False, True):
        assert short == []
        async with a_door(SOURCES, short_way=short_way) as door:
            heard = await played(door, PLAYS[name].pieces)
            seen.append((heard, door.seen()))
    assert seen[1] == seen[0]
    assert statuses(seen[1][0]) == PLAYS[name].expected
    assert len(short) == PLAYS[name].short or PLAYS[name].short is None


def test_the_short_way_is_proven_with_this_aiohttp() -> None:
    """Raise the version in runtime/port/short_way.py once this file and tests/fuzz/test_two_doors.py are green."""
    assert IS_KNOWN, aiohttp.__version__
