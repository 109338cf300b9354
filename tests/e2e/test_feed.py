"""`callstitch work feed` as real processes: whatever dies, a fed queue gets all it wants and is never over full."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import orjson
import pika
import pytest

from runtime.broker import open_broker
from runtime.crash import EXIT_CODE, POINTS, VARIABLE
from runtime.events.messages import event_messages
from schemas.envelope import Envelope
from schemas.settings.addresses import broker_address
from schemas.topology import BATCHES, DEAD, Forms, feed_queue
from tests.building.facts import T0
from tests.building.loops import IDS
from tests.e2e.programs import Role, request
from tests.e2e.roles import running_roles
from tests.e2e.test_processes import members
from tests.services import rabbitmq
from workers.calls.events import Event, event_envelope

NAME: Final = "crm"
FEED: Final = feed_queue(NAME)
A_ROUND: Final = 6
ROUNDS: Final = 12
LIMIT: Final = 20
NEWEST: Final = list(rabbitmq.RELEASES.values())[-1]
DEATH_SECONDS: Final = 60.0
PUBLISHED_NOT_ACKED: Final = {"after_publish", "after_mark"}

pytestmark = pytest.mark.rabbitmq


@pytest.fixture(params=list(rabbitmq.RELEASES.values()), ids=list(rabbitmq.RELEASES))
def rabbitmq_release(request: pytest.FixtureRequest) -> str | None:
    release: str | None = request.param
    return release


def a_queue(**keys: object) -> str:
    rows = "".join(f"{key} = {orjson.dumps(value).decode()}\n" for key, value in keys.items())
    return f'[[queue]]\nname = "{NAME}"\noutcomes = ["answered"]\n{rows}'


def events(text: str, count: int = A_ROUND) -> list[Envelope]:
    """So many that are wanted, and as many that are not."""
    outcomes = ["answered", "busy"] * count
    return [
        event_envelope(
            Event(
                type="call.completed",
                source="huawei",
                subject=f"huawei:{text}-{n}",
                time=T0,
                data={"call": {"outcome": outcome, "late": False}},
                revision=1,
            ),
            at=T0,
            trace="",
        )
        for n, outcome in enumerate(outcomes)
    ]


def wanted(told: Sequence[Envelope]) -> set[str]:
    return {event.id for event in told[::2]}


def publish(url: str, told: Sequence[Envelope]) -> None:
    """As correlate does."""

    async def out() -> None:
        async with open_broker(broker_address(url)) as broker:
            await broker.publish(event_messages(told, IDS, Forms(frozenset({(BATCHES, "call.completed.*")}))))

    asyncio.run(out())


def depths(url: str, *queues: str) -> list[int]:
    async def asked() -> list[int]:
        async with open_broker(broker_address(url)) as broker:
            found = await broker.depths(queues)
            return [found[queue] for queue in queues]

    return asyncio.run(asked())


@pytest.mark.parametrize("rabbitmq_release", [NEWEST], indirect=True, ids=["newest"])
def test_a_feed_that_dies_in_any_window_loses_nothing(tmp_path: Path, fresh_amqp_url: str) -> None:
    rounds: dict[str, list[Envelope]] = {}
    with running_roles(tmp_path, fresh_amqp_url, extra=a_queue(), workers={"feed": ("feed",)}) as (_, roles):
        role = roles["feed"]
        assert role.terminate() == 0
        for point in POINTS:
            role.environ = {**role.environ, VARIABLE: f"feed.{NAME}.{point}=deadly-{point}"}
            role.start()
            rounds[point] = [*events(f"first-{point}"), *events(f"deadly-{point}")]
            publish(fresh_amqp_url, rounds[point])
            assert role.wait(DEATH_SECONDS) == EXIT_CODE, point
        role.environ = {**role.environ, VARIABLE: ""}
        role.start()
        found = Counter(taken(fresh_amqp_url, {one for told in rounds.values() for one in wanted(told)}))
        assert depths(fresh_amqp_url, FEED, DEAD) == [0, 0]
        assert role.terminate() == 0
    assert set(found) == {one for told in rounds.values() for one in wanted(told)}
    again = {point for point, told in rounds.items() if max(found[one] for one in wanted(told)) > 1}
    assert again >= PUBLISHED_NOT_ACKED, "the window was not where its name says"


def test_two_that_share_a_narrow_queue_of_a_slow_consumer_may_die(tmp_path: Path, fresh_amqp_url: str) -> None:
    queue = a_queue(max_length=LIMIT)
    with running_roles(tmp_path, fresh_amqp_url, extra=queue, workers={"feed": ("feed", "--processes", "2")}) as (
        door,
        roles,
    ):
        role, all_told = roles["feed"], list[Envelope]()
        for n in range(ROUNDS):
            told = events(f"round-{n}", 2 * LIMIT)
            all_told += told
            publish(fresh_amqp_url, told)
        door.wait_for(lambda: is_full(role))
        assert LIMIT / 2 <= depths(fresh_amqp_url, NAME)[0] <= LIMIT + LIMIT // 2
        kills = {len(wanted(all_told)) // 3: 0, len(wanted(all_told)) // 2: 1}
        found = taken(fresh_amqp_url, wanted(all_told), role=role, kills=kills)
        door.wait_for(lambda: depths(fresh_amqp_url, FEED, DEAD) == [0, 0])
        assert set(found) == wanted(all_told)
        assert role.terminate() == 0


def is_full(role: Role) -> bool:
    """Whether /readyz says so, and stays 200."""
    answer = request(role.admin, "GET", "/readyz")
    assert answer.status == 200, answer
    return any(f"feed.{NAME}" in one for one in orjson.loads(answer.body).get("away", []))


def taken(url: str, ids: set[str], *, role: Role | None = None, kills: dict[int, int] | None = None) -> list[str]:
    """What a consumer gets, one at a time, until it has all of these; a process of the role is killed at each count."""
    found: list[str] = []
    left = dict(kills or {})
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=1)
        for method, _, body in channel.consume(NAME, inactivity_timeout=DEATH_SECONDS):
            assert body is not None, f"{len(ids - set(found))} events did not come"
            assert method is not None
            assert method.delivery_tag is not None
            found.append(orjson.loads(body)["id"])
            channel.basic_ack(method.delivery_tag)
            if role is not None and (member := left.pop(len(set(found)), None)) is not None:
                os.kill(members(role)[member], signal.SIGKILL)
            if ids <= set(found):
                break
    return found
