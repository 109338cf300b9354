"""A message that RabbitMQ never takes closes the channel of everybody: it is found, told, and nobody else is lost.

docs/notes/amqp.md trap 24. The node's max_message_size is set below what it takes by default.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final

import pytest

from ingest.group_commit import GroupCommit
from runtime.broker.rabbitmq import RabbitMQ, open_rabbitmq
from runtime.telemetry import Telemetry
from schemas.envelope import Envelope, Kind
from schemas.errors import Refused, Unavailable, Unconfirmed
from schemas.stage import Outcome, Stage
from schemas.topology import CALLS, DEAD, RECEIVED, UNIQUE, topology
from tests.building.facts import T0
from tests.building.loops import IDS, a_stage_that_says, an_envelope, is_empty, number, read, running, send
from tests.contracts.brokers import a_message, all_in, numbered, numbers
from tests.services import debian
from tests.services.rabbitmq import RELEASES
from tests.services.rabbitmq import RabbitMQ as Node

pytestmark = pytest.mark.rabbitmq

LIMIT: Final = 100_000
QUEUE: Final = UNIQUE


@pytest.fixture(scope="module", params=list(RELEASES.values()), ids=list(RELEASES))
def rabbitmq_release(request: pytest.FixtureRequest) -> str | None:
    release: str | None = request.param
    return release


@pytest.fixture(scope="module")
def strict_node(rabbitmq_release: str | None) -> Iterator[Node]:
    """Its own settings say so: RabbitMQ 4 reads them once, when it starts."""
    node = debian.or_skip(lambda: Node(rabbitmq_release, settings={"max_message_size": LIMIT}))
    yield node
    node.close()


@pytest.fixture
def strict(strict_node: Node) -> str:
    return strict_node.make_vhost()


@pytest.fixture
async def broker(strict: str) -> AsyncIterator[RabbitMQ]:
    async with open_rabbitmq(strict) as broker:
        await broker.declare(topology([]))
        yield broker


async def test_what_the_broker_refuses_is_named_and_everything_else_of_every_publish_is_stored(
    broker: RabbitMQ,
) -> None:
    too_large = [a_message(QUEUE, b"x" * (LIMIT + n)) for n in (1, 5)]
    batch = numbered(QUEUE, 40)
    ours, *theirs = await asyncio.gather(
        broker.publish([*batch[:7], too_large[0], *batch[7:20], too_large[1]]),
        *(broker.publish([message]) for message in batch[20:]),
        return_exceptions=True,
    )
    assert isinstance(ours, Refused)
    assert ours.message_ids == {message.message_id for message in too_large}
    assert theirs == [None] * 20
    assert set(numbers(await all_in(broker, QUEUE))) == set(range(40))


async def test_what_was_refused_for_its_size_is_not_sent_again_to_close_the_channel_of_everybody(
    broker: RabbitMQ,
) -> None:
    with pytest.raises(Refused):
        await broker.publish([a_message(QUEUE, b"x" * (LIMIT + 1))])
    await broker.publish(numbered(QUEUE, 1))
    before = broker.publisher._current.value
    with pytest.raises(Refused):
        await broker.publish([a_message(QUEUE, b"x" * (LIMIT + 2)), *numbered(QUEUE, 1)])
    await broker.publish(numbered(QUEUE, 1))
    assert broker.publisher._current.value is before


async def test_a_stage_goes_on_past_what_the_broker_refuses(broker: RabbitMQ) -> None:
    """Its event was sent again for ever, also after a restart, and whoever shares the publisher waited with it."""
    stage, marked = a_stage_that_says(LIMIT + 2)
    await send(broker, [an_envelope(1)])
    async with running(broker, stage):
        (passed,) = await read(broker, UNIQUE, expected=1)
        (dead,) = await read(broker, DEAD, expected=1)
    assert number(passed) == 1
    assert isinstance(dead.body, dict)
    assert dead.body.pop("begins").startswith('"xxx')
    assert dead.body == {
        "reason": "too_large",
        "stage": RECEIVED,
        "bytes": LIMIT + 2,
        "exchange": CALLS,
        "routing_key": "call.completed.s",
        "content_type": "application/cloudevents+json",
        "id": "large",
    }
    assert (dead.source, marked) == ("s", ["large", "e1"])
    assert await is_empty(broker, RECEIVED)


async def test_a_bundle_that_is_too_large_goes_one_by_one(broker: RabbitMQ) -> None:
    envelopes = [an_envelope(n) for n in range(3)]
    for envelope in envelopes:
        envelope.body = {"n": number(envelope), "pad": "x" * (LIMIT // 2)}

    async def handle(batch: Sequence[Envelope]) -> Outcome:
        return [
            Envelope(id=e.id, kind=Kind.FACT, source="s", at=T0, body={"n": number(e), "pad": "y" * (LIMIT // 2)})
            for e in batch
        ]

    await send(broker, envelopes, each_alone=True)
    async with running(broker, Stage(handle)):
        assert sorted(map(number, await read(broker, UNIQUE, expected=3))) == [0, 1, 2]
    assert await is_empty(broker, DEAD)


async def test_at_the_door_only_the_push_that_is_refused_is_not_stored(broker: RabbitMQ) -> None:
    commit = GroupCommit(broker, IDS, Telemetry().bundles)
    large = an_envelope(9)
    large.body = {"n": 9, "pad": "x" * 3 * LIMIT}
    waiting = [commit.store(envelope, timeout_seconds=20) for envelope in (an_envelope(1), large, an_envelope(2))]
    committing = asyncio.create_task(commit.run())
    first, refused, last = await asyncio.gather(*waiting, return_exceptions=True)
    committing.cancel()
    await asyncio.wait([committing])
    assert (first, last) == (None, None)
    assert isinstance(refused, Unconfirmed | Unavailable)
    assert set(map(number, await read(broker, RECEIVED, expected=2))) == {1, 2}
