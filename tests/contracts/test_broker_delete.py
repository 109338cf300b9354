"""A queue that nobody wants any more is deleted, over both brokers, when it is empty and nobody consumes it."""

from __future__ import annotations

from runtime.broker.base import Broker
from schemas.topology import Binding, Exchange, Queue, Topology
from tests.building.loops import until
from tests.contracts.brokers import Names, a_message, all_in, depth_is, only, receive


async def test_an_empty_queue_is_deleted_and_declared_again_it_begins_anew(broker: Broker, names: Names) -> None:
    queue, other = names.of("queue"), names.of("other")
    await broker.declare(only(other, queue))
    await broker.publish([a_message(queue, b"1")])
    assert await broker.delete(queue) is False, "it holds a message"
    async with broker.consume(queue, prefetch=10) as consumer:
        (delivery,) = await receive(consumer, 1)
        assert await broker.consumers([queue, names.of("absent")]) == {queue: 1}
        await consumer.ack([delivery])
        await depth_is(broker, queue, 0)
        assert await broker.delete(queue) is False, "somebody consumes it"
    await until(lambda: broker.delete(queue))
    assert await broker.delete(queue) is True, "it is gone"
    assert await broker.depths([queue, other]) == {other: 0}
    await broker.declare(only(queue))
    await broker.publish([a_message(queue, b"2"), a_message(other, b"3")])
    assert [delivery.body for delivery in await all_in(broker, queue)] == [b"2"]
    assert [delivery.body for delivery in await all_in(broker, other)] == [b"3"]


async def test_its_bindings_go_with_it(broker: Broker, names: Names) -> None:
    calls, sink = names.of("calls"), names.of("sink")
    queues = (Queue(name=sink), Queue(name=names.of("other")))
    bindings = tuple(Binding(exchange=calls, queue=queue.name, pattern="call.#") for queue in queues)
    await broker.declare(Topology(exchanges=(Exchange(name=calls, kind="topic"),), queues=queues, bindings=bindings))
    assert await broker.delete(sink) is True
    await broker.declare(Topology(queues=queues))
    await broker.publish([a_message("call.completed.s", b"1", exchange=calls)])
    assert len(await all_in(broker, names.of("other"))) == 1
    assert await all_in(broker, sink) == []
