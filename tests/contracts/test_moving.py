"""A consumer moves from single events to batches and back while events are published, and misses none.

Over both brokers and both stores: the real `declare`, and the real settling, which asks in which forms they are wanted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from console.admission import moving
from console.admission.leftovers import declare
from runtime.bench import Bench, StageSpec
from runtime.broker.base import Broker
from runtime.clock import system_clock
from runtime.events import forms as forms_file
from runtime.events.forms import leased
from runtime.settle import Settler
from runtime.telemetry import Telemetry
from runtime.verdict import Policy
from runtime.wire import pack, unpack
from schemas.envelope import BATCH_CONTENT_TYPE, Envelope, Kind
from schemas.stage import Outcome, Stage
from schemas.topology import (
    BATCHES,
    CALLS,
    SINGLY,
    UNROUTED,
    Binding,
    Forms,
    Subscription,
    Topology,
    sink_queue,
    topology,
)
from tests.building.facts import T0
from tests.building.loops import IDS, is_empty, read, until
from tests.building.stores import PostgresqlRig, StoreRig
from workers.config import Config
from workers.stores import open_forms

AWAY: Final = "amqp://u@h/v"  # tests hand the broker over
CRM: Final = sink_queue("crm")
ROUTE: Final = "call.completed.s"
LEASE_SECONDS: Final = 0.2
STALL_SECONDS: Final = 0.15  # of a publisher between what it knows and its publish: less than a lease
BATCH: Final = Forms(frozenset({(BATCHES, "call.completed.*")}))


@pytest.fixture
def broker(stages: Broker) -> Broker:
    return stages


@pytest.fixture
def config(store_rig: StoreRig, tmp_path: Path) -> Config:
    store = store_rig.dsn if isinstance(store_rig, PostgresqlRig) else f"sqlite:{tmp_path}/state"
    return Config.model_validate(
        {"broker": AWAY, "store": store, "queue": [{"name": "billing"}], "sink": [_sink(None)]}
    )


def _sink(batch: bool | None) -> dict[str, object]:
    said = {} if batch is None else {"batch": batch}
    return {"name": "crm", "kind": "jsonl", "path": "crm.jsonl", **said}


def moved(config: Config, *, sink: bool | None, queue: bool = False) -> Config:
    tables = {"queue": [{"name": "billing", "batch": queue}], "sink": [_sink(sink)]}
    return Config.model_validate({"broker": config.broker, "store": config.store, **tables})


def an_event(n: int) -> Envelope:
    return Envelope(id=f"e{n}", kind=Kind.EVENT, source="s", at=T0, body=b'{"id": "e%d"}' % n, route=ROUTE)


def a_settler(broker: Broker, read_forms: Callable[[], Awaitable[Forms]]) -> Settler:
    async def handle(_: Sequence[Envelope]) -> Outcome:
        return []

    spec = StageSpec(name="correlate", queue="unread", policy=Policy(()))
    return Settler(
        Bench(
            spec=spec,
            stage=Stage(handle),
            broker=broker,
            clock=system_clock(),
            message_ids=IDS,
            metrics=Telemetry().stage("correlate"),
            forms=read_forms,
        )
    )


@asynccontextmanager
async def publishing(broker: Broker, config: Config) -> AsyncIterator[list[str]]:
    """Events, one after the other, by a publisher that is slow between asking and publishing; their ids so far."""
    published: list[str] = []
    over = asyncio.Event()

    async def publish() -> None:
        async with open_forms(config.store) as store:
            known = leased(store.forms)

            async def slowly() -> Forms:
                forms = await known()
                await asyncio.sleep(STALL_SECONDS)
                return forms

            settler = a_settler(broker, slowly)
            while not over.is_set():
                event = an_event(len(published))
                await settler.send([event], work=())
                published.append(event.id)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(publish())
        try:
            yield published
        finally:
            over.set()


async def got(broker: Broker, queue: str) -> set[str]:
    """The ids in a queue, which is empty then."""
    held = (await broker.depths([queue]))[queue]
    found: set[str] = set()
    async with broker.consume(queue, prefetch=200) as consumer:
        while held > 0:
            deliveries = await consumer.batch(1)
            held -= len(deliveries)
            found |= {one.id for delivery in deliveries for one in unpack(delivery, T0, queue=queue)}
            await consumer.ack(deliveries)
    return found


async def test_nothing_falls_between_the_forms_while_a_consumer_moves(
    broker: Broker, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forms_file, "LEASE_SECONDS", LEASE_SECONDS)
    monkeypatch.setattr(moving, "WAIT_SECONDS", 1.5 * LEASE_SECONDS)
    await declare(moved(config, sink=False), broker)
    async with publishing(broker, config) as published:
        for sink, queue in ((True, False), (False, True), (True, True), (False, False)):
            await declare(moved(config, sink=sink, queue=queue), broker)
            two_more = len(published) + 2
            await until(lambda: len(published) >= two_more)  # noqa: B023 - asked at once
    for queue_name in (CRM, "billing"):
        assert await got(broker, queue_name) == set(published)
    assert await is_empty(broker, UNROUTED), "what was delivered in another form was set aside too"


async def test_each_form_goes_to_who_wants_it_and_what_nobody_wants_is_set_aside(
    broker: Broker, config: Config
) -> None:
    await declare(moved(config, sink=True), broker)
    async with open_forms(config.store) as store:
        settler = a_settler(broker, store.forms)
        unwanted = Envelope(id="p", kind=Kind.EVENT, source="s", at=T0, body=b'{"id": "p"}', route="call.progress.s")
        await settler.send([*map(an_event, range(100)), unwanted], work=())
    assert await broker.depths([CRM, "billing", UNROUTED]) == {CRM: 2, "billing": 100, UNROUTED: 0}
    async with broker.consume(CRM, prefetch=10) as consumer:
        (first,) = await consumer.batch(1)
        assert (first.content_type, first.routing_key, first.events) == (BATCH_CONTENT_TYPE, ROUTE, 64)

    nobody = [replace(an_event(n), route="number.changed.s") for n in range(3)]
    await declare(moved(config, sink=True, queue=True), broker)
    await broker.declare(Topology(unbound=tuple(_bindings(BATCHES, "number.changed.*"))))
    await broker.publish(pack(nobody, IDS, Forms(frozenset({(BATCHES, "number.changed.*")}))))
    assert [one.id for one in await read(broker, UNROUTED, expected=3)] == ["e0", "e1", "e2"]


def _bindings(exchange: str, pattern: str) -> list[Binding]:
    return [Binding(exchange=exchange, queue=queue, pattern=pattern) for queue in (CRM, "billing")]


async def test_who_learns_while_it_waits_for_the_confirm_publishes_in_the_other_form_too(
    broker: Broker, config: Config
) -> None:
    await declare(moved(config, sink=True), broker)
    answers = iter([SINGLY, BATCH, BATCH])

    async def learning() -> Forms:
        return next(answers)

    await a_settler(broker, learning).send([an_event(1)], work=())
    assert [one.id for one in await read(broker, CRM, expected=1)] == ["e1"]
    assert next(answers, None) is None


@pytest.mark.parametrize(
    ("declared", "word", "expected"),
    [
        ((), None, True),
        (((CALLS, CRM),), None, False),
        (((CALLS, "billing"),), None, False),
        (((CALLS, "billing"), (BATCHES, "other")), None, True),
        (((BATCHES, CRM),), None, True),
        (((CALLS, CRM),), True, True),
        (((BATCHES, CRM),), False, False),
    ],
)
def test_without_a_word_a_sink_stays_as_it_was_declared(
    config: Config, declared: Sequence[tuple[str, str]], word: bool | None, expected: bool
) -> None:
    rows = [Binding(exchange=exchange, queue=queue, pattern="call.completed.*") for exchange, queue in declared]
    said = moved(config, sink=word)
    decided = moving.as_declared(said, rows)
    assert [sink.batch for sink in decided.sink] == [expected]
    told = list(moving.told_of(said, decided))
    single = ["sink crm gets single events, as before; with batch = true it gets batches"]
    assert told == ([] if expected or word is not None else single)


async def test_where_an_older_version_kept_no_record_its_queues_tell_that_it_was_there(
    broker: Broker, config: Config
) -> None:
    await broker.declare(topology([Subscription(queue=CRM)]))
    await declare(config, broker)
    async with open_forms(config.store) as store:
        assert (await store.forms()).of(ROUTE) == (True, False)
    await broker.publish(pack([an_event(1)], IDS))
    assert await broker.depths([CRM]) == {CRM: 1}
