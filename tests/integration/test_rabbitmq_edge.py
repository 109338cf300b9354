"""What dies in a downstream queue comes to our dead letters as it was, and goes back to that queue alone."""

from __future__ import annotations

import asyncio
import shlex
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from console.admission import edges
from runtime.bench import Bench, StageSpec
from runtime.broker.rabbitmq import RabbitMQ, open_rabbitmq
from runtime.clock import system_clock
from runtime.consume.loop import StageLoop
from runtime.events.messages import event_messages
from runtime.telemetry import Telemetry
from runtime.verdict import Policy
from runtime.wire import again, unpack
from schemas.envelope import Envelope, JsonObject, Kind, decode_bundle
from schemas.errors import Misconfigured
from schemas.topology import CALLS, DEAD, Subscription, edge_stage, topology
from tests.building.delivered import delivered
from tests.building.facts import T0
from tests.building.loops import IDS, until
from tests.building.stores import SqliteRig, a_whole_call, asked, event, fold, marked
from tests.contracts.brokers import receive
from tests.integration import amqp_peer
from tests.services.rabbitmq import RELEASES
from tests.services.rabbitmq import RabbitMQ as Node
from workers.config import Config
from workers.park import ParkedStore, park

pytestmark = pytest.mark.rabbitmq

ROUTE: Final = "call.completed.bj"
CRM, BILLING, LOTS = (
    Subscription(queue="crm", downstream=True),
    Subscription(queue="billing", downstream=True),
    Subscription(queue="lots", downstream=True, batch=True),
)
WANTED: Final = topology([CRM, BILLING, LOTS])


@pytest.fixture(params=list(RELEASES.values()), ids=list(RELEASES))
def rabbitmq_release(request: pytest.FixtureRequest) -> str | None:
    release: str | None = request.param
    return release


@pytest.fixture
def url(rabbitmq_node: Node) -> Iterator[str]:
    made = rabbitmq_node.make_vhost()
    yield made
    rabbitmq_node.delete_vhost(made)


@pytest.fixture
async def broker(url: str) -> AsyncIterator[RabbitMQ]:
    async with open_rabbitmq(url) as opened:
        await opened.declare(WANTED)
        yield opened


@pytest.fixture
def channel(url: str) -> Iterator[BlockingChannel]:
    """A team's own client."""
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        yield connection.channel()


def an_event(n: int) -> Envelope:
    body = b'{"id":"00000000-0000-5000-8000-%012d","source":"/callstitch/bj","data":{"caller":"+8613800000021"}}' % n
    return Envelope(id=body[7:43].decode(), kind=Kind.EVENT, source="bj", at=T0, body=body, trace="t", route=ROUTE)


@dataclass(frozen=True)
class Seen:
    """A message as a consumer sees it, but for what the broker writes on it."""

    body: bytes
    properties: dict[str, Any]


def taken(channel: BlockingChannel, queue: str, *, reject: bool) -> Seen:
    """The next message of a queue; it is acked, or given up."""
    for _ in range(200):
        method, properties, body = channel.basic_get(queue)
        if method is not None and properties is not None and body is not None and method.delivery_tag:
            break
        channel.connection.sleep(0.05)
    else:
        raise AssertionError(f"nothing comes to {queue}")
    if reject:
        channel.basic_reject(method.delivery_tag, requeue=False)
    else:
        channel.basic_ack(method.delivery_tag)
    headers = {name: value for name, value in (properties.headers or {}).items() if not name.startswith("x-")}
    headers.pop("callstitch_publish", None)
    return Seen(body, {**vars(properties), "headers": headers})


@asynccontextmanager
async def parking(broker: RabbitMQ, store: ParkedStore, *, outlets: Sequence[str]) -> AsyncIterator[None]:
    loop = StageLoop(
        Bench(
            spec=StageSpec(name="park.dead", queue=DEAD, policy=Policy(())),
            stage=park(store, box="dead", clock=system_clock(), outlets=outlets),
            broker=broker,
            clock=system_clock(),
            message_ids=IDS,
            metrics=Telemetry().stage("park.dead"),
        )
    )
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(loop.run(stopping))
        yield
        stopping.set()


async def groups(rig: SqliteRig) -> list[JsonObject]:
    return list(await asked(rig, lambda reads: reads.parked_groups("dead")))


async def there(rig: SqliteRig, count: int) -> bool:
    return [group["count"] for group in await groups(rig)] == [1] * count


@pytest.mark.parametrize(("queue", "events"), [("crm", 1), ("lots", 3)])
async def test_a_rejected_message_is_a_dead_letter_of_its_queue_and_goes_back_to_it_as_it_was(
    broker: RabbitMQ, channel: BlockingChannel, tmp_path: Path, queue: str, events: int
) -> None:
    rig = SqliteRig(tmp_path)
    await broker.publish(event_messages(map(an_event, range(events)), IDS, WANTED.forms))
    first = taken(channel, queue, reject=True)
    async with rig.open_parked() as store, parking(broker, store, outlets=["crm", "lots"]):
        await until(lambda: there(rig, 1))
        (group,) = await groups(rig)
        assert (group["stage"], group["source"], group["items"]) == (edge_stage(queue), "bj", events)
        assert group["reason"].startswith("rejected by a consumer")
        await store.want([group["example"]])
        second = await asyncio.to_thread(taken, channel, queue, reject=True)
        assert second == first, "the same message, to the last property"
        await until(lambda: there(rig, 1))
        (again_there,) = await groups(rig)
        assert (again_there["example"], again_there["attempts"]) == (group["example"], 2)
    assert await broker.depths(["billing", queue]) == {"billing": events, queue: 0}, "nobody else got it"


async def test_a_trace_tells_who_rejected_an_event_and_where_it_waits(
    broker: RabbitMQ, channel: BlockingChannel, url: str, tmp_path: Path
) -> None:
    rig, whole = SqliteRig(tmp_path), [replace(a_whole_call(session), source="bj") for session in ("s1", "s2")]
    async with rig.open_claims(), rig.open_sessions() as sessions, rig.open_parked() as store:
        said = [one for one in await fold(sessions, *whole, told=70) if event(one)]
        await broker.publish(event_messages(said, IDS, WANTED.forms))
        await marked(sessions, [one.id for one in said], told=71)
        for queue in ("crm", "lots"):
            taken(channel, queue, reject=True)
        async with parking(broker, store, outlets=["crm", "lots"]):
            await until(lambda: there(rig, 2))
    rows = [{"name": "crm"}, {"name": "billing"}, {"name": "lots", "batch": True}]
    config = Config.model_validate({"broker": url, "store": f"sqlite:{tmp_path}", "queue": rows})
    rejected = {"crm": ("dead", 1), "lots": ("dead", 1), "billing": ("sent", 0)}
    assert await delivered(rig, config, whole[0].call_id) == rejected
    assert await delivered(rig, config, whole[1].call_id) == {**rejected, "crm": ("sent", 0)}
    for queue in ("crm", "billing", "billing"):
        taken(channel, queue, reject=False)
    after = {"crm": ("taken", 0), "lots": ("dead", 1), "billing": ("taken", 0)}
    assert await delivered(rig, config, whole[1].call_id) == after


async def test_what_a_team_put_there_itself_is_kept_with_its_properties_and_goes_back_with_them(
    broker: RabbitMQ, channel: BlockingChannel, tmp_path: Path
) -> None:
    rig = SqliteRig(tmp_path)
    own = pika.BasicProperties(
        content_type="image/png", message_id="m", type="t", app_id="a", timestamp=12, priority=3, correlation_id="c",
        headers={"one": 1, "two": "2"}, delivery_mode=2,
    )  # fmt: skip
    channel.basic_publish("", "crm", b"\x89PNG\xff", own)
    first = taken(channel, "crm", reject=True)
    async with rig.open_parked() as store, parking(broker, store, outlets=["crm"]):
        await until(lambda: there(rig, 1))
        await store.want([(await groups(rig))[0]["example"]])
        second = await asyncio.to_thread(taken, channel, "crm", reject=False)
    assert second == first
    assert (second.properties["type"], second.properties["timestamp"], second.body) == ("t", 12, b"\x89PNG\xff")


async def test_a_queue_that_is_gone_from_the_config_gets_nothing_and_holds_nobody_up(
    broker: RabbitMQ, channel: BlockingChannel, tmp_path: Path
) -> None:
    rig = SqliteRig(tmp_path)
    await broker.publish(event_messages([an_event(1)], IDS, WANTED.forms))
    for queue in ("crm", "billing"):
        taken(channel, queue, reject=True)
    async with rig.open_parked() as store, parking(broker, store, outlets=["billing"]):
        await until(lambda: there(rig, 2))
        await store.want([group["example"] for group in await groups(rig)])
        await asyncio.to_thread(taken, channel, "billing", reject=False)
        await until(lambda: there(rig, 1))
        assert [group["stage"] for group in await groups(rig)] == [edge_stage("crm")]
    assert (await broker.depths(["crm"]))["crm"] == 0


async def test_a_teams_own_retry_queue_hides_neither_the_queue_nor_the_reason(
    broker: RabbitMQ, channel: BlockingChannel
) -> None:
    """The first death is in that queue, and RabbitMQ 3.10 has no header for the last one; without the key too."""
    arguments = {"x-message-ttl": 1, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "crm"}
    channel.queue_declare("crm.retry", arguments=arguments)
    channel.basic_publish("", "crm.retry", bytes(an_event(1).body))  # type: ignore[arg-type]
    await asyncio.to_thread(taken, channel, "crm", reject=True)
    async with broker.consume(DEAD, prefetch=1) as consumer:
        (delivery,) = await receive(consumer, 1)
    for died in (delivery, delivery._replace(routing_key=ROUTE)):
        (letter,) = unpack(died, T0, queue=DEAD)
        assert isinstance(letter.body, dict)
        assert (letter.body["stage"], letter.body["reason"][:8]) == (edge_stage("crm"), "rejected")
        (put_back,) = decode_bundle(again(died, queue=DEAD, message_id="m").body)
        assert put_back.body == letter.body, "while the store is away it is put back whole"


async def test_a_consumer_that_puts_back_for_ever_loses_nothing(broker: RabbitMQ, channel: BlockingChannel) -> None:
    """A limit would give up what a team's outage puts back a few thousand times within a minute."""
    await broker.publish(event_messages([an_event(1)], IDS, WANTED.forms))
    for _ in range(60):
        tag: int | None = None
        while tag is None:
            method, _, _ = channel.basic_get("crm")
            tag = None if method is None else method.delivery_tag
        channel.basic_nack(tag, requeue=True)
    assert taken(channel, "crm", reject=False).body == an_event(1).body


async def test_a_queue_of_before_is_left_as_it_is_and_a_policy_is_told_for_it_alone(
    broker: RabbitMQ, rabbitmq_node: Node, url: str, channel: BlockingChannel, tmp_path: Path
) -> None:
    """The command that is told is run, word by word; it is told until a dead letter has come of it."""
    rig = SqliteRig(tmp_path)
    queues = [{"name": name} for name in ("crm", "billing", "lots")]
    config = Config.model_validate({"broker": url, "store": f"sqlite:{tmp_path}", "queue": queues})
    limit = {"x-delivery-limit": -1} if rabbitmq_node.major_minor >= (4, 0) else {}
    amqp_peer.redeclare(url, "crm", {"x-queue-type": "quorum", **limit})
    await broker.declare(WANTED)
    assert await broker.differing(WANTED) == []
    told = await broker.lossy(WANTED)
    assert list(told) == ["crm"]
    assert amqp_peer.accepts(url, "crm", {"x-queue-type": "quorum", **limit}), "it was not declared anew"

    _run(told["crm"], rabbitmq_node.ctl)
    await broker.publish(event_messages([an_event(1)], IDS, WANTED.forms))
    taken(channel, "crm", reject=True)
    assert told["crm"] in (await edges.told_of(config, broker))[1]
    async with rig.open_parked() as store, parking(broker, store, outlets=["crm"]):
        await until(lambda: there(rig, 1))
        assert [group["stage"] for group in await groups(rig)] == [edge_stage("crm")]
    assert (await broker.depths(["crm"]))["crm"] == 0
    assert await edges.told_of(config, broker) == []


def _run(command: str, ctl: Callable[..., str]) -> None:
    program, *arguments = shlex.split(command)
    assert program == "rabbitmqctl"
    try:
        ctl(*arguments)
    except subprocess.CalledProcessError as error:
        raise AssertionError(error.stderr) from None


async def test_single_active_consumer_and_stream_are_declared_and_not_changed_afterwards(
    broker: RabbitMQ, url: str, channel: BlockingChannel
) -> None:
    one = Subscription(queue="one", downstream=True, single_active=True)
    flow = Subscription(queue="flow", downstream=True, stream=True)
    await broker.declare(topology([one, flow]))
    await broker.publish(event_messages([an_event(1)], IDS, topology([one, flow]).forms))
    got: list[str] = []
    for name in ("a", "b"):
        channel.basic_consume("one", lambda *_, name=name: got.append(name), consumer_tag=name)
    channel.connection.process_data_events(0.5)
    assert got == ["a"], "the second waits for the first to end"
    assert amqp_peer.accepts(url, "flow", {"x-queue-type": "stream"})
    for changed in (Subscription(queue="one", downstream=True), Subscription(queue="flow", downstream=True)):
        with pytest.raises(Misconfigured, match=changed.queue):
            await broker.declare(topology([changed]))
    assert await broker.lossy(topology([one, flow])) == {}
    assert CALLS in {binding.exchange for binding in topology([flow]).bindings}
