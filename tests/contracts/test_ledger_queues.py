"""What the ledger learns of the queues of either broker, while the pipeline's own process goes on using it."""

from __future__ import annotations

from pathlib import Path

from console.reading import on_the_way, queue_depths
from runtime.broker.base import Broker
from runtime.broker.embedded import open_embedded
from schemas.topology import RECEIVED, retry_queue
from tests.contracts.brokers import EmbeddedRig, RabbitMQRig, Rig, numbered
from tests.services.ports import free_port
from workers.config import Config


def a_config(rig: Rig) -> Config:
    assert isinstance(rig, EmbeddedRig | RabbitMQRig)
    return Config(broker=f"embedded:{rig.path}" if isinstance(rig, EmbeddedRig) else rig.url)


async def test_the_depths_of_queues_are_told_while_the_broker_is_in_use(rig: Rig, broker: Broker, queue: str) -> None:
    config = a_config(rig)
    assert await queue_depths(config, [queue, "no-such-queue"]) == {queue: 0}
    await broker.publish(numbered(queue, 3))
    assert await queue_depths(config, [queue]) == {queue: 3}


async def test_a_broker_that_does_not_answer_tells_nothing() -> None:
    config = Config(broker=f"amqp://guest@127.0.0.1:{free_port()}/")
    assert await queue_depths(config, [RECEIVED]) is None


async def test_a_broker_in_memory_tells_nothing_to_another_process() -> None:
    assert await queue_depths(Config(broker="embedded::memory:"), [RECEIVED]) is None


async def test_an_embedded_broker_that_is_not_running_is_read_all_the_same(tmp_path: Path) -> None:
    rig = EmbeddedRig(tmp_path / "broker.db")
    assert await queue_depths(a_config(rig), [RECEIVED]) == {}
    assert not rig.path.exists()
    async with open_embedded(rig.path):
        pass
    assert await queue_depths(a_config(rig), [RECEIVED]) == {}


def test_only_the_tiers_that_lead_to_the_stores_keep_a_window_open() -> None:
    """A webhook that is away for a day waits in the long tiers, and must not hide a loss for that day."""
    assert {retry_queue(delay) for delay in ("1s", "5s", "30s", "2m")} <= set(on_the_way(Config()))
    assert not {retry_queue(delay) for delay in ("10m", "1h", "6h")} & set(on_the_way(Config()))
    longer = Config.model_validate({"retry": {"dedupe": {"schedule": ["1s", "10m"]}}})
    assert retry_queue("10m") in on_the_way(longer)
