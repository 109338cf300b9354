"""The delivery log, which both stores keep: asked by event, sixteen bytes an event, and forgotten in time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from uuid import NAMESPACE_DNS, uuid5

import pytest

from runtime.verdict import Policy
from schemas.envelope import Envelope, Kind
from schemas.errors import Away, Permanent, Transient, Unavailable
from schemas.settings.addresses import store_address
from tests.building.stores import PostgresqlRig, SqliteRig, StoreRig, asked, at
from workers.delivery.log import MOST, DeliveryLog
from workers.stores import open_sinks
from workers.stores.deliveries import Attempt, DeliveryRow, DeliveryStore

IDS = [str(uuid5(NAMESPACE_DNS, str(n))) for n in range(2000)]
POLICY = Policy(("5s", "2m"))
KEPT = timedelta(days=7)


@pytest.fixture
async def deliveries(store_rig: StoreRig) -> AsyncIterator[DeliveryStore]:
    if isinstance(store_rig, PostgresqlRig):
        address = store_address(store_rig.dsn)
    else:
        assert isinstance(store_rig, SqliteRig)
        address = store_address(f"sqlite:{store_rig.directory}")
    async with open_sinks(address) as store:
        yield store


class Now:
    seconds = 0.0


def a_log(store: DeliveryStore) -> DeliveryLog:
    return DeliveryLog(store, lambda: at(Now.seconds), POLICY, KEPT)


def events(*ids: str, attempt: int = 1) -> list[Envelope]:
    return [Envelope(id=one, kind=Kind.EVENT, source="s", at=at(0), body=b"{}", attempt=attempt) for one in ids]


async def attempts(rig: StoreRig, event_id: str, since: float = 0) -> Sequence[Attempt]:
    return await asked(rig, lambda reads: reads.attempts(event_id, at(since)))


async def test_an_event_is_told_attempt_by_attempt(store_rig: StoreRig, deliveries: DeliveryStore) -> None:
    assert await attempts(store_rig, IDS[0]) == []
    log, Now.seconds = a_log(deliveries), 10.7
    crm, file = log.of("crm", "http_2xx"), log.of("file", "written")
    file(events(*IDS[:3]), [None] * 3)
    crm(events(*IDS[:3]), [Transient("http_503"), None, Away("the endpoint is away: http_500", seconds=1)])
    await log.write()
    Now.seconds = 140
    crm(events(IDS[0], attempt=2), [Transient("timeout")])
    crm(events(IDS[0], attempt=3), [Transient("http_422", alone=True)])
    crm(events("no-uuid"), [Permanent("event_is_not_one_line")])
    await log.write()
    assert set(await attempts(store_rig, IDS[0])) == {
        Attempt("file", at(10), 1, "written", "acked"),
        Attempt("crm", at(10), 1, "http_503", "retry"),
        Attempt("crm", at(140), 2, "timeout", "retry"),
        Attempt("crm", at(140), 3, "http_422", "dead"),
    }
    assert [one.attempt for one in await attempts(store_rig, IDS[0], since=11)] == [2, 3]
    assert [(one.answer, one.end) for one in await attempts(store_rig, IDS[2])] == [
        ("written", "acked"),
        ("the endpoint is away: http_500", "held"),
    ]
    assert [one.end for one in await attempts(store_rig, "no-uuid")] == ["dead"]
    assert await attempts(store_rig, IDS[9]) == []


class Counting:
    """Counts what is written, and is away until it is told otherwise."""

    def __init__(self, store: DeliveryStore) -> None:
        self._store = store
        self.away = False
        self.writes: list[int] = []

    async def keep(self, rows: Sequence[DeliveryRow]) -> None:
        if self.away:
            raise Unavailable("it is away")
        self.writes.append(len(rows))
        await self._store.keep(rows)

    async def forget(self, before: object) -> None:
        """Not now."""


async def test_a_thousand_events_cost_one_write_and_sixteen_rows(
    store_rig: StoreRig, deliveries: DeliveryStore
) -> None:
    counting, Now.seconds = Counting(deliveries), 1
    log = DeliveryLog(counting, lambda: at(Now.seconds), POLICY, KEPT)
    hear = log.of("crm", "http_2xx")
    for start in range(0, len(IDS), 100):
        hear(events(*IDS[start : start + 100]), [None] * 100)
    await log.write()
    await log.write()
    assert counting.writes == [16]
    for known in (IDS[0], IDS[999], IDS[-1]):
        assert await attempts(store_rig, known) == [Attempt("crm", at(1), 1, "http_2xx", "acked")]


async def test_what_is_told_while_the_store_is_away_is_written_later_as_far_as_there_is_room(
    store_rig: StoreRig, deliveries: DeliveryStore
) -> None:
    counting, Now.seconds = Counting(deliveries), 1
    counting.away = True
    log = DeliveryLog(counting, lambda: at(Now.seconds), POLICY, KEPT)
    hear = log.of("crm", "http_2xx")
    hear(events(IDS[0]), [None])
    with pytest.raises(Unavailable):
        await log.write()
    many = events("x")[0]
    hear([many] * MOST, [None] * MOST)
    hear(events(IDS[1]), [None])
    counting.away = False
    await log.write()
    hear(events(IDS[2]), [None])
    await log.close()
    assert [len(await attempts(store_rig, known)) for known in IDS[:3]] == [1, 0, 1]


async def test_what_is_older_than_it_is_kept_is_forgotten(store_rig: StoreRig, deliveries: DeliveryStore) -> None:
    log, Now.seconds = a_log(deliveries), 0
    hear = log.of("crm", "http_2xx")
    hear(events(*IDS[:50]), [None] * 50)
    await log.write()
    Now.seconds = (KEPT + timedelta(minutes=1)).total_seconds()
    hear(events(*IDS[50:52]), [None] * 2)
    await log.write()
    assert [len(await attempts(store_rig, known)) for known in (IDS[0], IDS[49], IDS[51])] == [0, 0, 1]
