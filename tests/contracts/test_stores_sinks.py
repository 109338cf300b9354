"""What both stores keep of sinks."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from schemas.settings.addresses import store_address
from tests.building.stores import PostgresqlRig, SqliteRig, StoreRig, at
from workers.stores import open_sinks
from workers.stores.sinks import SinkState, SinkStore


@pytest.fixture
async def sinks(store_rig: StoreRig) -> AsyncIterator[SinkStore]:
    if isinstance(store_rig, PostgresqlRig):
        address = store_address(store_rig.dsn)
    else:
        assert isinstance(store_rig, SqliteRig)
        address = store_address(f"sqlite:{store_rig.directory}")
    async with open_sinks(address) as store:
        yield store


async def test_a_sink_rests_by_the_first_word_until_it_is_resumed(sinks: SinkStore) -> None:
    assert await sinks.sinks() == {}
    assert await sinks.pause("crm", by="kim", now=at(1))
    assert not await sinks.pause("crm", by="lee", now=at(2))
    assert await sinks.sinks() == {"crm": SinkState(paused_at=at(1), paused_by="kim")}
    await sinks.resume("crm", now=at(3))
    await sinks.resume("other", now=at(4))
    assert await sinks.sinks() == {"crm": SinkState(resumed_at=at(3)), "other": SinkState(resumed_at=at(4))}
    assert await sinks.pause("crm", by="lee", now=at(5))


async def test_how_the_last_batch_ended_changes_nothing_else(sinks: SinkStore) -> None:
    await sinks.tell("crm", "written", now=at(1))
    await sinks.pause("crm", by="kim", now=at(2))
    await sinks.tell("crm", "http_500", now=at(3))
    state = SinkState(paused_at=at(2), paused_by="kim", outcome="http_500", outcome_at=at(3))
    assert await sinks.sinks() == {"crm": state}


async def test_words_that_a_database_cannot_hold_are_told_all_the_same(sinks: SinkStore) -> None:
    await sinks.tell("crm", "http\0_500", now=at(1))
    assert (await sinks.sinks())["crm"].outcome.startswith("http")


async def test_a_far_end_that_is_away_is_known_until_it_is_back(sinks: SinkStore) -> None:
    await sinks.away("crm", at(1))
    await sinks.tell("crm", "http_500", now=at(2))
    assert await sinks.sinks() == {"crm": SinkState(away_at=at(1), outcome="http_500", outcome_at=at(2))}
    await sinks.away("crm", None)
    assert (await sinks.sinks())["crm"].away_at is None
