"""What an operator, a policy or a full machine does to RabbitMQ while everybody uses it."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

from schemas.topology import CALLS, RECEIVED, RECORDINGS, UNIQUE, sink_queue
from tests.chaos.process_faults import standing_still
from tests.chaos.scene import Logged, Scene, Seen, Unready, wait
from tests.services import rabbitmq_faults

EMPTY_SECONDS: Final = 30.0


class Deleted(NamedTuple):
    """A queue that is taken away: who writes to it, who says that it is gone, and whether its writers go on meanwhile.

    What is published while a sink's queue is away goes to the other sinks alone, and no broker keeps it for this one:
    whoever deletes a sink's queue gives up its events. So correlate stands still until it is back.
    """

    writers: Sequence[str]
    unready: Sequence[str]
    writers_go_on: bool = True


QUEUES: Final[Mapping[str, Deleted]] = {
    RECEIVED: Deleted(writers=("ingest",), unready=("ingest", "dedupe")),
    UNIQUE: Deleted(writers=("dedupe", "fetch_recording"), unready=("dedupe", "correlate")),
    RECORDINGS: Deleted(writers=("correlate",), unready=("fetch_recording",)),
    sink_queue("file"): Deleted(writers=("correlate",), unready=("fan_out.file",), writers_go_on=False),
}


@contextmanager
def memory_alarm(scene: Scene, _: str) -> Iterator[Seen]:
    """The node reads nothing more from whoever publishes."""
    with rabbitmq_faults.memory_alarm(scene.broker):
        yield Unready(scene, "ingest")


@contextmanager
def disk_alarm(scene: Scene, _: str) -> Iterator[Seen]:
    """The same, for want of disk."""
    with rabbitmq_faults.disk_alarm(scene.broker):
        yield Unready(scene, "ingest")


@contextmanager
def connections_closed(scene: Scene, _: str) -> Iterator[Seen]:
    """The node says goodbye to everybody."""
    seen = Logged(scene, "broker.connected", *scene.roles)
    rabbitmq_faults.close_connections(scene.broker)
    yield seen


@contextmanager
def queue_deleted(scene: Scene, name: str) -> Iterator[Seen]:
    """An empty queue goes and is declared again: its writers stand still until it is empty, so that nothing goes."""
    queue = QUEUES[name]
    seen = Unready(scene, *queue.unready)
    writers = [scene.roles[writer] for writer in queue.writers]
    with standing_still(*writers):
        wait(lambda: _messages(scene, name) == 0, f"{name} to be empty", EMPTY_SECONDS)
        gone = _delete_queue(scene, name)
        if gone != "0":
            raise RuntimeError(f"{name} was deleted with {gone} message(s) in it")
        if queue.writers_go_on:
            for kept in writers:
                kept.role.process.send_signal(signal.SIGCONT)
        try:
            yield seen
        finally:
            scene.declare()


@contextmanager
def exchange_deleted(scene: Scene, _: str) -> Iterator[Seen]:
    """`calls` goes and is declared again.

    correlate stands still while `declare` binds one queue after the other: what is published meanwhile reaches those
    that are bound already, and them alone.
    """
    seen = Unready(scene, "correlate")
    scene.broker.eval(f'rabbit_exchange:delete({_resource(scene, "exchange", CALLS)}, false, <<"tests">>).')
    try:
        yield seen
    finally:
        with standing_still(scene.roles["correlate"]):
            scene.declare()


def _messages(scene: Scene, name: str) -> int:
    """All of them, those in somebody's hands too."""
    return int(
        scene.broker.eval(f"""
            {{ok, Queue}} = rabbit_amqqueue:lookup({_resource(scene, "queue", name)}),
            {{ok, {{_, Count}}, _}} = ra:local_query(amqqueue:get_pid(Queue), fun rabbit_fifo:query_messages_total/1),
            Count.""")
    )


def _delete_queue(scene: Scene, name: str) -> str:
    return scene.broker.eval(f"""
        {{ok, Queue}} = rabbit_amqqueue:lookup({_resource(scene, "queue", name)}),
        {{ok, Count}} = rabbit_amqqueue:delete(Queue, false, false, <<"tests">>),
        Count.""")


def _resource(scene: Scene, kind: str, name: str) -> str:
    return f'rabbit_misc:r(<<"{scene.vhost}">>, {kind}, <<"{name}">>)'
