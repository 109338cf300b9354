"""A memory alarm: a role that has something to publish is not ready while RabbitMQ blocks it, and then is again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from runtime.broker.rabbitmq import open_rabbitmq
from runtime.wire import retry
from schemas.topology import DEAD, RECEIVED, topology
from tests.building.loops import IDS, an_envelope
from tests.contracts.brokers import depth_is
from tests.integration.test_rabbitmq_reconnect import PATIENCE_SECONDS, dedupe_at_work
from tests.services.rabbitmq import RELEASES
from tests.services.rabbitmq import RabbitMQ as Node
from tests.services.rabbitmq_faults import memory_alarm


@pytest.fixture(params=list(RELEASES.values()), ids=list(RELEASES))
def rabbitmq_release(request: pytest.FixtureRequest) -> str | None:
    release: str | None = request.param
    return release


@pytest.mark.rabbitmq
async def test_readyz_is_false_in_a_memory_alarm_and_true_again_by_itself(
    rabbitmq_node: Node, fresh_amqp_url: str, tmp_path: Path
) -> None:
    async with open_rabbitmq(fresh_amqp_url) as operator:
        await operator.declare(topology([]))
        async with dedupe_at_work(fresh_amqp_url, tmp_path) as readyz, asyncio.timeout(PATIENCE_SECONDS):
            # They come to the stage in the midst of the alarm: RabbitMQ takes the first publish, and blocks the next.
            for n in range(2):
                await operator.publish([retry(an_envelope(n), queue=RECEIVED, delay="5s", message_id=next(IDS))])
                await asyncio.sleep(0.7)
            with memory_alarm(rabbitmq_node):
                await readyz.until({"broker": False, "dedupe": False})
            await readyz.until({"broker": True, "dedupe": True})
            assert await depth_is(operator, RECEIVED, 0)
            assert (await operator.depths([DEAD]))[DEAD] >= 2, "consumed and settled: their source is unknown"
