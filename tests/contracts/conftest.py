"""Both brokers and both stores, each for the one suite that both pass."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from runtime.broker.base import Broker
from schemas.topology import topology
from tests.building.stores import PostgresqlRig, SqliteRig, StoreRig, forget_everything
from tests.contracts.brokers import EmbeddedRig, Names, RabbitMQRig, Rig, names_deleted_from, only
from tests.contracts.pipe import Pipe, open_pipe
from tests.services.rabbitmq import RELEASES
from workers.correlate import SessionStore
from workers.dedupe import ClaimStore


@pytest.fixture(params=["embedded", *(pytest.param(each, marks=pytest.mark.rabbitmq) for each in RELEASES)])
def broker_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def rabbitmq_release(broker_kind: str) -> str | None:
    return RELEASES.get(broker_kind)


@pytest.fixture
def rig(broker_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Rig:
    if broker_kind == "embedded":
        return EmbeddedRig(tmp_path / "broker.db")
    return RabbitMQRig(request.getfixturevalue("amqp_url"))


@pytest.fixture
def names(rig: Rig) -> Iterator[Names]:
    if isinstance(rig, RabbitMQRig):
        with names_deleted_from(rig.url) as names:
            yield names
    else:
        yield Names()


@pytest.fixture
async def broker(rig: Rig) -> AsyncIterator[Broker]:
    async with rig.open() as broker:
        yield broker


@pytest.fixture
async def stages(broker_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Broker]:
    """An empty broker of this test's own, with our whole topology."""
    fresh: Rig = EmbeddedRig(tmp_path / "stages.db")
    if broker_kind in RELEASES:
        fresh = RabbitMQRig(request.getfixturevalue("fresh_amqp_url"))
    async with fresh.open() as broker:
        await broker.declare(topology([]))
        yield broker


@pytest.fixture
async def queue(broker: Broker, names: Names) -> str:
    """A plain queue, declared and empty."""
    queue = names.of("queue")
    await broker.declare(only(queue))
    return queue


@pytest.fixture(params=["sqlite", "postgresql"])
async def store_rig(request: pytest.FixtureRequest, tmp_path: Path) -> StoreRig:
    """Both stores, for the one suite that both pass."""
    if request.param == "sqlite":
        return SqliteRig(tmp_path / "state")
    dsn = request.getfixturevalue("postgres_dsn")
    await forget_everything(dsn)
    return PostgresqlRig(dsn)


@pytest.fixture
async def claims(store_rig: StoreRig) -> AsyncIterator[ClaimStore]:
    async with store_rig.open_claims() as store:
        yield store


@pytest.fixture
async def sessions(store_rig: StoreRig) -> AsyncIterator[SessionStore]:
    async with store_rig.open_sessions() as store:
        yield store


@pytest.fixture
async def pipe(store_rig: StoreRig) -> AsyncIterator[Pipe]:
    async with open_pipe(store_rig) as pipe:
        yield pipe
