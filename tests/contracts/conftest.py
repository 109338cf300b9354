"""Both brokers, for the one suite that both pass."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from runtime.broker.base import Broker
from tests.contracts.brokers import EmbeddedRig, Names, RabbitMQRig, Rig, names_deleted_from, only


@pytest.fixture(params=["embedded", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def broker_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


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
async def queue(broker: Broker, names: Names) -> str:
    """A plain queue, declared and empty."""
    queue = names.of("queue")
    await broker.declare(only(queue))
    return queue
