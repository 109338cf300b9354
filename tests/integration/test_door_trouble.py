"""The door is ready only while it can store, says why it cannot, and comes back without a single push."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import aio_pika
import pytest
from aiohttp import ClientSession
from structlog.testing import capture_logs
from yarl import URL

from ingest.server import serve_door
from ingest.state import DoorState
from runtime.broker.rabbitmq import RabbitMQ, open_rabbitmq
from runtime.clock import system_clock
from runtime.telemetry import Telemetry
from runtime.wire import monotonic_message_ids
from schemas.platforms import DIALECTS
from schemas.settings import Ingest
from schemas.topology import RECEIVED, topology
from tests.building.loops import until
from tests.integration.asking import HUAWEI, TOKEN, a_config
from tests.services import ports
from tests.services.proxy import open_proxy
from tests.services.rabbitmq import RabbitMQ as Node
from tests.services.rabbitmq_faults import memory_alarm
from workers.wiring import sources_of

CONFIRM_SECONDS: Final = 1.0
ALIYUN: Final[Mapping[str, Any]] = {"name": "aliyun", "platform": "aliyun_pnp", "tokens": [TOKEN], "verify": "never"}
BODY: Final = b'{"eventType":"none"}'

pytestmark = pytest.mark.rabbitmq


@dataclass(frozen=True, kw_only=True)
class Opened:
    http: ClientSession
    url: str
    state: DoorState
    telemetry: Telemetry
    broker: RabbitMQ

    async def refused(self, why: str) -> str:
        """Push, and be refused for that; what the log says."""
        before = self.unstored(why)
        with capture_logs() as logged:
            async with self.http.post(self.url, data=BODY) as answer:
                assert (answer.status, answer.headers.get("Retry-After")) == (503, "5")
        assert self.unstored(why) == before + 1
        (reason,) = [line["reason"] for line in logged if line["event"] == "door.refused"]
        assert reason.startswith(f"not stored, {why}: ")
        return str(reason)

    def unstored(self, why: str) -> float:
        return self.telemetry.registry.get_sample_value("callstitch_door_unstored_total", {"why": why}) or 0.0

    async def stored(self) -> bool:
        async with self.http.post(self.url, data=BODY) as answer:
            return answer.status == 200


@asynccontextmanager
async def opened(
    url: str, source: Mapping[str, Any] = HUAWEI, *, confirm_seconds: float = CONFIRM_SECONDS
) -> AsyncIterator[Opened]:
    config = a_config(source)
    async with open_rabbitmq(url, confirm_timeout_seconds=confirm_seconds) as broker, ClientSession() as http:
        await broker.declare(topology([], []))
        listen, state, telemetry = f"127.0.0.1:{ports.free_port()}", DoorState(), Telemetry()
        assert state.check() == "not listening"
        async with serve_door(
            Ingest(listen=listen),
            sources=sources_of(config),
            dialects=DIALECTS,
            broker=broker,
            message_ids=monotonic_message_ids("door"),
            telemetry=telemetry,
            clock=system_clock(),
            state=state,
        ):
            url = f"http://{listen}/v1/{source['name']}/{TOKEN}/x"
            door = Opened(http=http, url=url, state=state, telemetry=telemetry, broker=broker)
            assert await door.stored()
            assert state.check() is True
            yield door


def says(state: DoorState, word: str) -> Callable[[], bool]:
    return lambda: str(state.check()).startswith(word)


async def test_a_queue_that_was_deleted_is_told_and_its_declaring_brings_the_door_back(fresh_amqp_url: str) -> None:
    async with opened(fresh_amqp_url) as door:
        connection = await aio_pika.connect(fresh_amqp_url)
        async with connection, connection.channel() as channel:
            await channel.queue_delete(RECEIVED)
        assert RECEIVED in await door.refused("unroutable")
        assert str(door.state.check()).startswith(f"unroutable: no queue takes {RECEIVED}")
        await asyncio.sleep(1.5)  # longer than a probe takes
        assert str(door.state.check()).startswith("unroutable"), "it does not flap"

        await door.broker.declare(topology([], []))
        await until(lambda: door.state.check() is True)


async def test_a_queue_that_refuses_is_told_and_its_room_brings_the_door_back(
    rabbitmq_node: Node, fresh_amqp_url: str
) -> None:
    vhost = URL(fresh_amqp_url).path[1:]
    async with opened(fresh_amqp_url) as door:
        policy = '{"max-length":3,"overflow":"reject-publish"}'
        rabbitmq_node.ctl("set_policy", "-p", vhost, "--apply-to", "queues", "full", RECEIVED, policy)
        await until(lambda: refused_now(door))
        assert "a queue that is full?" in str(door.state.check())
        assert says(door.state, "refused")()
        await asyncio.sleep(1.5)
        assert says(door.state, "refused")()

        async with door.broker.consume(RECEIVED, prefetch=100) as consumer:  # dedupe is back
            await consumer.ack(await consumer.batch(100))
            await until(lambda: door.state.check() is True)


async def refused_now(door: Opened) -> bool:
    """A quorum queue takes a message or two beyond its limit."""
    with suppress(AssertionError):
        await door.refused("refused")
        return True
    return False


async def test_an_alarm_is_told_as_one_and_its_end_brings_the_door_back(
    rabbitmq_node: Node, fresh_amqp_url: str
) -> None:
    async with opened(fresh_amqp_url) as door:
        with memory_alarm(rabbitmq_node):
            await until(lambda: pushed_and_blocked(door))
            assert "low on memory" in await door.refused("alarm")
            assert door.broker.trouble == "alarm: the broker blocks publishers: low on memory"
            assert says(door.state, "alarm")()
        await until(lambda: door.state.check() is True)
        assert door.broker.trouble == ""


async def pushed_and_blocked(door: Opened) -> bool:
    """RabbitMQ tells a connection of an alarm once it publishes, on a busy machine perhaps after our deadline."""
    await door.stored()
    return door.broker.trouble.startswith("alarm")


async def test_a_broker_that_is_silent_is_late_and_one_that_is_gone_is_away(fresh_amqp_url: str) -> None:
    async with open_proxy(fresh_amqp_url) as proxy, opened(proxy.url) as door:
        proxy.mute()
        assert "within 1 s" in await door.refused("late")
        await until(says(door.state, "late"))
        proxy.unmute()
        await until(lambda: door.state.check() is True)

        proxy.refuse()
        await until(lambda: door.broker.trouble.startswith("away"))
        await door.refused("away")
        assert says(door.state, "away")()
        await proxy.accept()
        await until(lambda: door.state.check() is True)


async def test_one_that_is_gone_is_away_for_a_platform_that_waits_for_less_than_a_confirm_may_take(
    fresh_amqp_url: str,
) -> None:
    """With the figures of production: the door's own deadline came first and said `late`."""
    async with open_proxy(fresh_amqp_url) as proxy, opened(proxy.url, ALIYUN, confirm_seconds=3.0) as door:
        proxy.mute()
        assert "before the door's deadline" in await door.refused("late")
        proxy.unmute()
        await until(lambda: door.state.check() is True)

        proxy.refuse()
        await until(lambda: door.broker.trouble.startswith("away"))
        await door.refused("away")
        await proxy.accept()
        await until(lambda: door.state.check() is True)
