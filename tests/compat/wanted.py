"""What a config wants declared, told as the recorded run tells it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Final

from console.config_file import load_config
from schemas.topology import BATCHES, SWITCH_QUEUES, Queue
from workers.config import config_topology

RABBITMQ: Final = {"CALLSTITCH_BROKER": "amqp://user@host/vhost"}
_WORDS: Final = ("name", "dead_letter_exchange", "dead_letter_key", "delivery_limit", "ttl_seconds")


def topology_of(config: Path) -> dict[str, Any]:
    """Every exchange, queue, binding and no longer wanted binding that the config needs, where no sink has batches.

    What came later is left out: the exchange of batches, and that nothing is bound to it; the dead letters of
    downstream queues, and that they need RabbitMQ; the switches of a hold.
    """
    loaded = load_config(config, RABBITMQ)
    sinks = tuple(sink.model_copy(update={"batch": False}) for sink in loaded.sink)
    wanted = config_topology(loaded.model_copy(update={"sink": sinks}))
    assert not wanted.forms.any_batch
    queues = tuple(_as_then(row) for row in wanted.queues if row.name not in SWITCH_QUEUES.values())
    exchanges = tuple(row for row in wanted.exchanges if row.name != BATCHES)
    unbound = tuple(row for row in wanted.unbound if row.exchange != BATCHES)
    told = dataclasses.asdict(dataclasses.replace(wanted, queues=queues, exchanges=exchanges, unbound=unbound))
    return told | {"queues": [{word: row[word] for word in _WORDS} for row in told["queues"]]}


def _as_then(queue: Queue) -> Queue:
    if not queue.downstream:
        return queue
    assert (queue.dead_letter_exchange, queue.dead_letter_key) == ("callstitch.dead", f"queue:{queue.name}")
    return Queue(name=queue.name)
