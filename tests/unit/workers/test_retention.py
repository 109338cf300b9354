"""When ticks let the stores forget, and what is shown of a store's URL."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from console.config_file import redacted_url
from tests.building.facts import T0, seconds
from tests.building.stores import PATIENCE, SqliteRig, a_claim, a_whole_call, asked, at, claimed, fold
from workers.correlate import correlate
from workers.dedupe import dedupe
from workers.retention import EXPIRE_ROWS, Expire, now_and_then


def expiring(calls: list[datetime], gone: int) -> Expire:
    async def expire(now: datetime, _: int) -> int:
        calls.append(now)
        return gone

    return expire


async def ticked(gone: int, *moments: float) -> list[float]:
    calls: list[datetime] = []
    forget = now_and_then(expiring(calls, gone))
    for moment in moments:
        await forget(at(moment))
    return [(call - T0).total_seconds() for call in calls]


async def test_a_tick_forgets_about_once_a_minute() -> None:
    assert await ticked(EXPIRE_ROWS - 1, 0, 1, 59, 60, 61, 119, 121) == [0, 60, 121]


async def test_a_full_chunk_is_followed_by_another_at_the_next_tick() -> None:
    assert await ticked(EXPIRE_ROWS, 0, 1, 2) == [0, 1, 2]


async def test_a_deletion_that_fails_costs_one_tick_a_minute() -> None:
    async def failing(_: datetime, __: int) -> int:
        raise ArithmeticError

    forget = now_and_then(failing)
    with pytest.raises(ArithmeticError):
        await forget(at(0))
    await forget(at(1))
    with pytest.raises(ArithmeticError):
        await forget(at(60))


async def test_dedupe_forgets_by_its_tick(tmp_path: Path) -> None:
    async with SqliteRig(tmp_path).open_claims() as store:
        tick = dedupe(store, sources={}, dialects={}, count=lambda *_: None).tick
        await claimed(store, a_claim("k", "f1"))
        assert tick is not None
        assert await tick(T0 + timedelta(days=8)) == []
        assert await claimed(store, a_claim("k", "f2")) == ["new"]


async def test_correlate_forgets_by_its_tick(tmp_path: Path) -> None:
    rig = SqliteRig(tmp_path)
    async with rig.open_sessions() as store:
        tick = correlate(store, patience={"": PATIENCE}, progress=frozenset(), clock=clock_at(100)).tick
        said = await fold(store, a_whole_call(), told=70)
        await store.sent([envelope.id for envelope in said], at(71))
        assert tick is not None
        for day in (8, 9):
            assert await tick(T0 + timedelta(days=day)) == []
        assert await asked(rig, lambda reads: reads.session("huawei-bj:s1")) is None


def clock_at(told: float) -> Callable[[], datetime]:
    return lambda: T0 + seconds(told)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:var/state", "sqlite:var/state"),
        ("postgresql://u:hunter2@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        ("postgresql://h/d?user=u&password=hunter2", "postgresql://h/d?user=u&password=***"),
        ("postgresql://u:hunter2@h1:1,h2:2/d", "postgresql://u:***@h1:1,h2:2/d"),
        ("postgresql://u:hunt@er2@h1:1,h2:2/d?sslmode=require", "postgresql://u:***@h1:1,h2:2/d?sslmode=require"),
        ("postgresql://u:hunt@er/2@h1:1,h2:2/d", "***"),
        ("postgresql://u@h1:1,h2:2/d", "postgresql://u@h1:1,h2:2/d"),
        ("postgresql://h1:1,h2:2/d?password=hunter2", "***"),
        ("postgresql://u:hunter2@h1:x/d", "***"),
    ],
)
def test_the_password_of_a_store_is_never_shown(url: str, shown: str) -> None:
    assert redacted_url(url) == shown
