"""What the config no longer wants, over both brokers and both stores: told, unbound, deleted, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from console.admission import moving
from console.admission.leftovers import REASON, declare, leftovers, prune
from console.ledger.outlets import told_of
from runtime.broker.base import MESSAGE_BYTES, Broker, Message
from runtime.events.messages import event_messages
from schemas.envelope import Envelope, Kind
from schemas.topology import BATCHES, CALLS, DEAD, Forms, Queue, Topology, edge_stage, retry_exchange, sink_queue
from tests.building.facts import T0
from tests.building.loops import IDS, read, until
from tests.building.stores import PostgresqlRig, StoreRig
from tests.contracts.brokers import a_message, receive
from workers.config import Config, config_topology, outlets_of
from workers.stores.declared import since_in

HOOK, BILLING = sink_queue("hook"), "billing"
AN_EVENT = Envelope(id="e", kind=Kind.EVENT, source="s", at=T0, body=b'{"id": "e"}', route="call.completed.s")
BOTH = Forms(frozenset((exchange, "call.completed.*") for exchange in (CALLS, BATCHES)))


@pytest.fixture(autouse=True)
def _nobody_publishes_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "WAIT_SECONDS", 0.0)


@pytest.fixture
def broker(stages: Broker) -> Broker:
    return stages


@pytest.fixture
def config(store_rig: StoreRig, tmp_path: Path) -> Config:
    """With a sink and a queue that `without` takes away."""
    store = store_rig.dsn if isinstance(store_rig, PostgresqlRig) else f"sqlite:{tmp_path}/state"
    sinks = [{"name": name, "kind": "jsonl", "path": str(tmp_path / name), "batch": True} for name in ("file", "hook")]
    return Config.model_validate(
        {"broker": "amqp://u@h/v", "store": store, "sink": sinks, "queue": [{"name": BILLING}]}
    )


def without(config: Config) -> Config:
    return config.model_copy(update={"sink": config.sink[:1], "queue": ()})


async def pruned(config: Config, broker: Broker, *, force: bool = False) -> list[str]:
    return [sentence async for sentence in prune(config, broker, force=force)]


def an_event(n: int, route: str = "call.completed.s") -> list[Message]:
    """In both forms: the queue wants it alone, the sinks in a batch."""
    body = b'{"id": "event-%d"}' % n
    event = Envelope(id=f"event-{n}", kind=Kind.EVENT, source="s", at=T0, body=body, route=route)
    return event_messages([event], IDS, BOTH)


async def test_what_is_removed_is_named_and_unbound_and_deleted_once_it_is_empty(
    broker: Broker, config: Config, store_rig: StoreRig
) -> None:
    await broker.declare(Topology(queues=(Queue(name="callstitch.sink.foreign.v1"), Queue(name="theirs"))))
    assert await declare(config, broker) == {}
    await broker.publish(an_event(1))
    assert await declare(without(config), broker) == {BILLING: 1, HOOK: 1}
    async with store_rig.open_reads() as reads:
        assert leftovers(await reads.declared(), config_topology(without(config))) == [BILLING, HOOK]
    await broker.publish(an_event(2))
    assert await broker.depths([BILLING, HOOK, sink_queue("file")]) == {BILLING: 1, HOOK: 1, sink_queue("file"): 2}

    kept = await pruned(without(config), broker)
    assert [sentence.partition(":")[0] for sentence in kept] == [f"kept {BILLING}", f"kept {HOOK}"]
    assert all("--force" in sentence for sentence in kept)
    async with broker.consume(BILLING, prefetch=1) as billing, broker.consume(HOOK, prefetch=1) as hook:
        for consumer in (billing, hook):
            await consumer.ack(await receive(consumer, 1))
        in_use = [f"kept {queue}: somebody consumes it" for queue in (BILLING, HOOK)]
        assert await pruned(without(config), broker, force=True) == in_use
    found: list[str] = []

    async def both_are_gone() -> bool:
        found.extend(await pruned(without(config), broker))
        return {f"deleted {BILLING}", f"deleted {HOOK}"} <= set(found)

    await until(both_are_gone)
    assert await pruned(without(config), broker) == []
    others = ["callstitch.sink.foreign.v1", "theirs", sink_queue("file")]
    assert list(await broker.depths([BILLING, HOOK, *others])) == others
    assert await declare(config, broker) == {}, "wanted again, it is declared again"


async def test_what_force_deletes_goes_to_the_dead_letters_first(broker: Broker, config: Config) -> None:
    await declare(config, broker)
    await broker.publish([*chain(*map(an_event, range(5))), a_message(HOOK, b"no event at all")])
    await declare(without(config), broker)
    assert await pruned(without(config), broker, force=True) == [f"deleted {BILLING}", f"deleted {HOOK}"]
    letters = await read(broker, DEAD, expected=11)
    bodies: list[Any] = [letter.body for letter in letters]
    assert {body["stage"] for body in bodies} == {edge_stage(BILLING), HOOK}
    assert sorted(body["reason"] for body in bodies) == sorted([*[REASON] * 10, "not_a_bundle"])
    ids = [body["envelope"]["id"] for body in bodies if body["stage"] == HOOK and "envelope" in body]
    assert sorted(ids) == [f"event-{n}" for n in range(5)]


async def test_force_gets_past_a_message_whose_dead_letter_no_broker_takes(broker: Broker, config: Config) -> None:
    """A foreign one is kept as base64, a third larger."""
    await declare(config, broker)
    foreign = a_message(BILLING, b"x" * (MESSAGE_BYTES * 4 // 5))
    await broker.publish([foreign, a_message(BILLING, b"no event at all")])
    await declare(without(config), broker)
    assert await pruned(without(config), broker, force=True) == [f"deleted {BILLING}", f"deleted {HOOK}"]
    bodies: list[Any] = [letter.body for letter in await read(broker, DEAD, expected=2)]
    assert sorted(body["reason"] for body in bodies) == ["not_a_bundle", "too_large"]
    assert {body["stage"].removeprefix("queue:") for body in bodies} == {BILLING}


async def test_a_sinks_queue_is_kept_while_a_retry_may_come_back_to_it(broker: Broker, config: Config) -> None:
    await declare(config, broker)
    await declare(without(config), broker)
    await broker.publish([a_message(HOOK, b"[]", exchange=retry_exchange("10m"))])
    kept = f"kept {HOOK}: retries that may be for it wait in callstitch.retry.10m.v1"
    assert await pruned(without(config), broker, force=True) == [f"deleted {BILLING}", kept]


async def test_a_pattern_of_a_source_that_is_gone_is_unbound_too(broker: Broker, config: Config) -> None:
    """The config does not name that source any more, so only the record knows."""
    source = {"platform": "huawei_voicecall", "tokens": ["t" * 24]}
    sinks = [{"name": "file", "kind": "jsonl", "path": "x", "sources": ["gone"], "batch": True}]
    before = {"store": config.store, "source": [{"name": "gone", **source}], "sink": sinks}
    await declare(Config.model_validate(before), broker)
    after = before | {"source": [{"name": "s", **source}], "sink": [sinks[0] | {"sources": ["s"]}]}
    await declare(Config.model_validate(after), broker)
    await broker.publish([*an_event(1), *an_event(2, "call.completed.gone")])
    assert await broker.depths([sink_queue("file")]) == {sink_queue("file"): 1}


async def test_an_outlet_is_counted_from_when_it_was_bound_and_one_of_before_says_so(
    broker: Broker, config: Config, store_rig: StoreRig
) -> None:
    first = without(config)
    await broker.declare(config_topology(first))  # by a version that kept no record
    async with store_rig.open_claims(), store_rig.open_sessions() as kept:
        await kept.tell([replace(AN_EVENT, id="early")], T0)
        await declare(config, broker)
        await kept.tell([replace(AN_EVENT, id="late")], T0)
        await kept.sent(["early", "late"], T0)
        await kept.unsent(T0, 1)
    async with store_rig.open_reads() as reads:
        since = since_in(await reads.declared())
        bound = {queue: one.bound for queue, one in since.items()}
        assert bound == {sink_queue("file"): False, HOOK: True, BILLING: True}
        depths = {sink_queue("file"): 0, HOOK: 1, BILLING: 0}
        completed = only_completed(config)
        outlets = {one.queue: one for one in await told_of(outlets_of(completed), reads, depths, since, completed)}
    assert (outlets[BILLING].sent, outlets[BILLING].taken) == (1, 1), "what was said before it was bound is not its own"
    assert (outlets[sink_queue("file")].sent, outlets[sink_queue("file")].taken) == (1, None)
    assert (outlets[HOOK].messages, outlets[HOOK].held, outlets[HOOK].taken) == (1, None, None), (
        "of batches nobody knows how many events they hold"
    )
    await declare(first, broker)
    async with store_rig.open_reads() as reads:
        assert since_in(await reads.declared()).keys() == {sink_queue("file")}, "who comes back is bound anew"


def only_completed(config: Config) -> Config:
    """What leaves no row to count is not wanted."""
    events = {"events": ("call.completed",)}
    sinks = tuple(sink.model_copy(update=events) for sink in config.sink)
    queues = tuple(one.model_copy(update=events) for one in config.queue)
    return config.model_copy(update={"sink": sinks, "queue": queues})
