"""Work comes back by itself after each loss, soon, and /readyz tells the truth meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice, repeat
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import ClientError, ClientSession
from aiormq.connection import FrameReceiver

from console.roles import work_role
from runtime.bench import Bench, StageSpec
from runtime.broker.rabbitmq import RabbitMQ, open_rabbitmq
from runtime.broker.rabbitmq.link import Lost, gone_is_lost
from runtime.clock import system_clock
from runtime.settle import LONGEST_BACKOFF_SECONDS, Settler, backoffs
from runtime.telemetry import Telemetry
from runtime.verdict import Policy
from schemas.envelope import Envelope
from schemas.errors import Unconfirmed
from schemas.stage import Outcome, Stage
from schemas.topology import DEAD, RECEIVED, topology
from tests.building.loops import IDS, an_envelope, send, until
from tests.contracts.brokers import a_message, depth_is, numbered, numbers, receive
from tests.integration import amqp_peer
from tests.services import ports
from tests.services.proxy import Proxy, open_proxy
from tests.services.rabbitmq import RELEASES
from tests.services.rabbitmq import RabbitMQ as Node
from tests.services.rabbitmq_faults import cancel_consumers, close_connections, impatient_for_acks
from workers.config import Config

BACK_SECONDS: Final = 8.0  # the promise is 10 s from the moment at which the broker's port opens
PATIENCE_SECONDS: Final = 60.0
NEVER_SECONDS: Final = 3600.0

Damage = Callable[[Node, str, Proxy], Coroutine[Any, Any, None]]


@pytest.fixture(params=list(RELEASES.values()), ids=list(RELEASES))
def rabbitmq_release(request: pytest.FixtureRequest) -> str | None:
    release: str | None = request.param
    return release


async def test_a_peer_that_hung_up_before_we_listened_is_lost_and_not_the_end_of_reconnecting() -> None:
    """Regression: this ended the task that reconnects, and the role never came back (found by `make chaos`)."""
    reader = asyncio.StreamReader()
    reader.feed_eof()
    with pytest.raises(Lost), gone_is_lost():
        await FrameReceiver(reader).get_frame()


def test_no_pause_between_two_tries_is_longer_than_work_may_stay_away() -> None:
    pauses = list(islice(backoffs(), 50))
    assert pauses[0] < pauses[3] < pauses[-1] <= LONGEST_BACKOFF_SECONDS < BACK_SECONDS
    assert len(set(pauses[10:])) == 40, "without jitter all processes try at once"


@pytest.mark.rabbitmq
async def test_however_long_the_pauses_have_grown_a_publish_goes_out_when_the_broker_is_back(
    broker: RabbitMQ, proxy: Proxy, name: str
) -> None:
    proxy.refuse()
    await until(lambda: not broker.healthy)
    settling = asyncio.create_task(patient_settler(broker).publish([a_message(name)]))
    await failed_once(broker, name)

    await proxy.accept()

    async with asyncio.timeout(PATIENCE_SECONDS):
        await settling
    assert await depth_is(broker, name, 1)


@pytest.mark.rabbitmq
async def test_after_a_stall_a_publish_goes_out_again_when_the_late_confirms_come(
    broker: RabbitMQ, proxy: Proxy, name: str
) -> None:
    proxy.mute()
    settling = asyncio.create_task(patient_settler(broker).publish([a_message(name)]))
    await failed_once(broker, name)

    proxy.unmute()

    async with asyncio.timeout(PATIENCE_SECONDS):
        await settling
    assert broker.healthy


@pytest.mark.rabbitmq
async def test_a_slow_wire_slows_and_breaks_nothing(broker: RabbitMQ, proxy: Proxy, name: str) -> None:
    proxy.delay(0.2)
    async with broker.consume(name, prefetch=10) as consumer:
        began = time.monotonic()
        await broker.publish(numbered(name, 5))
        assert time.monotonic() - began > 0.4
        arrived = await receive(consumer, 5)
        await consumer.ack(arrived)
    assert numbers(arrived) == [0, 1, 2, 3, 4]
    assert await depth_is(broker, name, 0)


@pytest.mark.rabbitmq
async def test_a_broker_too_busy_to_send_heartbeats_is_not_taken_for_stuck(amqp_url: str, name: str) -> None:
    """It sends none while it sends deliveries and confirms: aiormq, which hangs up without any, does not see these."""
    generations = set()
    async with open_rabbitmq(f"{amqp_url}?heartbeat=1") as broker:
        amqp_peer.redeclare(amqp_url, name, {"x-queue-type": "quorum"})
        async with broker.consume(name, prefetch=2) as consumer:
            ends = time.monotonic() + 8  # docs/notes/amqp.md trap 9: (1 + 1) * 3 s
            while time.monotonic() < ends:
                await broker.publish(numbered(name, 1))
                (delivery,) = await receive(consumer, 1)
                await consumer.ack([delivery])
                generations.add(delivery.generation)
                await asyncio.sleep(0.05)
    assert generations == {1}


@pytest.mark.rabbitmq
async def test_a_consumer_that_rabbitmq_forgot_silently_comes_back_by_itself(amqp_url: str, name: str) -> None:
    """Regression: 3.10.8 lists a consumer of a queue that was deleted and declared again at once, and feeds it not."""
    async with open_rabbitmq(amqp_url, renew_seconds=1) as broker:
        amqp_peer.redeclare(amqp_url, name, {"x-queue-type": "quorum"})
        async with broker.consume(name, prefetch=2) as consumer:
            amqp_peer.redeclare(amqp_url, name, {"x-queue-type": "quorum"})
            await broker.publish(numbered(name, 5))
            arrived: list[int] = []
            for _ in range(5):
                one = await receive(consumer, 1)
                await consumer.ack(one)
                arrived += numbers(one)
    assert sorted(arrived) == [0, 1, 2, 3, 4]


@pytest.mark.rabbitmq
async def test_an_idle_consumer_is_renewed_without_being_unready_for_a_moment(amqp_url: str, name: str) -> None:
    async with open_rabbitmq(amqp_url, renew_seconds=0.2) as broker:
        amqp_peer.redeclare(amqp_url, name, {"x-queue-type": "quorum"})
        async with broker.consume(name, prefetch=2) as consumer:
            seen = set()
            generation = 0
            async with asyncio.timeout(PATIENCE_SECONDS):
                while generation < 4:
                    ends = time.monotonic() + 0.8
                    while time.monotonic() < ends:
                        seen.add(broker.healthy)
                        await asyncio.sleep(0)
                    await broker.publish(numbered(name, 1))
                    (delivery,) = await receive(consumer, 1)
                    await consumer.ack([delivery])
                    generation = delivery.generation
    assert seen == {True}


async def reset(_: Node, __: str, wire: Proxy) -> None:
    wire.reset()


async def closed_by_the_broker(node: Node, _: str, __: Proxy) -> None:
    await asyncio.to_thread(close_connections, node)


async def cancelled_by_the_broker(node: Node, url: str, _: Proxy) -> None:
    await asyncio.to_thread(cancel_consumers, node, url)


async def refused_for_a_while(_: Node, __: str, wire: Proxy) -> None:
    wire.refuse()
    await asyncio.sleep(1)
    await wire.accept()


async def queue_deleted_for_a_while(_: Node, url: str, __: Proxy) -> None:
    await asyncio.to_thread(amqp_peer.delete, url, RECEIVED)
    await asyncio.sleep(1)
    async with open_rabbitmq(url) as operator:
        await operator.declare(topology([]))


DAMAGES: Final = (reset, closed_by_the_broker, cancelled_by_the_broker, refused_for_a_while, queue_deleted_for_a_while)


@pytest.mark.rabbitmq
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
async def test_readyz_is_false_while_a_role_does_not_consume_and_true_again_by_itself(
    rabbitmq_node: Node, tmp_path: Path, damage: Damage
) -> None:
    url = rabbitmq_node.make_vhost()
    async with open_proxy(url) as wire, open_rabbitmq(url) as operator:
        await operator.declare(topology([]))
        async with dedupe_at_work(wire.url, tmp_path) as readyz:
            harm = asyncio.create_task(damage(rabbitmq_node, url, wire))

            await readyz.until({"broker": False, "dedupe": False})
            await harm
            async with asyncio.timeout(PATIENCE_SECONDS):
                await readyz.until({"broker": True, "dedupe": True})

            await send(operator, [an_envelope(1)])
            assert await depth_is(operator, DEAD, 1)  # its source is unknown: it was consumed and settled
    rabbitmq_node.delete_vhost(url)


@pytest.mark.rabbitmq
async def test_a_consumer_that_the_broker_ends_for_a_late_ack_comes_back(rabbitmq_node: Node, name: str) -> None:
    """It closes the channel, and counts that as a failed delivery; from 4.3 on it cancels, and counts nothing."""
    with impatient_for_acks(rabbitmq_node, milliseconds=300):
        async with open_rabbitmq(rabbitmq_node.url) as broker:
            amqp_peer.redeclare(rabbitmq_node.url, name, {"x-queue-type": "quorum"})
            await broker.publish(numbered(name, 1))
            async with broker.consume(name, prefetch=2) as consumer:
                (first,) = await receive(consumer, 1)
                (again,) = await receive(consumer, 1)
                await consumer.ack([again])
    assert (first.deliveries, again.deliveries) == (1, 1 if rabbitmq_node.major_minor >= (4, 3) else 2)


def patient_settler(broker: RabbitMQ) -> Settler:
    """One that has waited so long that its next pause is an hour."""

    async def handle(_: Sequence[Envelope]) -> Outcome:
        return []

    bench = Bench(
        spec=StageSpec(name="dedupe", queue=RECEIVED, policy=Policy(())),
        stage=Stage(handle),
        broker=broker,
        clock=system_clock(),
        message_ids=IDS,
        metrics=Telemetry().stage("dedupe"),
    )
    return Settler(bench, pauses=lambda: repeat(NEVER_SECONDS))


async def failed_once(broker: RabbitMQ, queue: str) -> None:
    """Return when a publish that began before this call has run into its deadline."""
    with pytest.raises(Unconfirmed):
        await broker.publish([a_message(f"{queue}.nowhere")])
    await asyncio.sleep(0.1)


@dataclass(frozen=True)
class Readyz:
    """The answers of an admin port."""

    client: ClientSession
    admin: str

    async def until(self, states: Mapping[str, bool]) -> None:
        """Return once it tells exactly these states, with the status that follows from them."""
        expected = (200 if all(states.values()) else 503, states)

        async def told() -> bool:
            try:
                async with self.client.get(f"http://{self.admin}/readyz") as answer:
                    told = await answer.json()
                    told.pop("reasons", None)
                    return (answer.status, told) == expected
            except ClientError:
                return False

        await until(told)


@asynccontextmanager
async def dedupe_at_work(broker: str, directory: Path) -> AsyncIterator[Readyz]:
    """The role of a dedupe container, in this process, ready; yields its /readyz."""
    admin = f"127.0.0.1:{ports.free_port()}"
    config = Config.model_validate(
        {
            "broker": broker,
            "store": f"sqlite:{directory}/state",
            "ingest": {"admin": admin},
            "retry": {"dedupe": {"schedule": []}},
        }
    )
    stopping = asyncio.Event()
    async with ClientSession() as client, asyncio.TaskGroup() as tasks:

        async def work() -> None:
            await work_role(config, "dedupe", part=None)(stopping)

        tasks.create_task(work())
        readyz = Readyz(client, admin)
        await readyz.until({"broker": True, "dedupe": True})
        yield readyz
        stopping.set()
