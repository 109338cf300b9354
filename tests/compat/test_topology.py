"""What version 7189888 declared on a RabbitMQ is what today's program declares, and finds declared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pika
import pytest

from schemas.topology import BATCHES, CALLS
from tests.compat.declared import TOPOLOGY, Definitions, definitions, run
from tests.services.rabbitmq import RabbitMQ

# Known, and not wanted by this config: the old version bound it for a queue that wanted more.
STALE: Final = {"source": "calls", "destination": "billing", "routing_key": "call.incomplete.*"}

pytestmark = [pytest.mark.rabbitmq, pytest.mark.timeout(300)]


def test_today_declares_what_it_always_did_and_takes_what_is_there(rabbitmq_node: RabbitMQ, tmp_path: Path) -> None:
    """And the exchange for batches, to which sinks are bound where there were none before."""
    then: Definitions = json.loads(TOPOLOGY.read_text())
    empty, left = rabbitmq_node.make_vhost(), rabbitmq_node.make_vhost()
    directories = [tmp_path / name for name in ("empty", "left")]
    for directory in directories:
        directory.mkdir()
    declared_by_7189888(left, then)
    run("declare", empty, directories[0])
    run("declare", left, directories[1])
    run("check", left, directories[1])
    fresh, kept = definitions(rabbitmq_node, empty, left)
    assert fresh == today(then, sinks=BATCHES, dead_letters=True)
    assert kept == today(then, sinks=CALLS, dead_letters=False)


def today(then: Definitions, *, sinks: str, dead_letters: bool) -> Definitions:
    """What that version declared, with the exchange for batches beside `calls`, and sinks bound to that of the two.

    `dead_letters`: downstream queues have them, as new ones do.
    """
    (calls,) = [row for row in then["exchanges"] if row["name"] == CALLS]
    bindings = [
        {**row, "source": sinks} if row["destination"].startswith("callstitch.sink.") else row
        for row in then["bindings"]
    ]
    queues = [
        {**row, "arguments": row["arguments"] | dead_lettering(row["name"])}
        if dead_letters and not row["name"].startswith("callstitch.")
        else row
        for row in then["queues"]
    ]
    now = {"queues": queues, "exchanges": [*then["exchanges"], {**calls, "name": BATCHES}], "bindings": bindings}
    return {what: sorted(rows, key=lambda row: json.dumps(row, sort_keys=True)) for what, rows in now.items()}


def dead_lettering(queue: str) -> dict[str, str]:
    """The arguments of a downstream queue that came later."""
    return {
        "x-dead-letter-exchange": "callstitch.dead",
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
        "x-dead-letter-routing-key": f"queue:{queue}",
    }


def declared_by_7189888(url: str, then: Definitions) -> None:
    """A virtual host as that version left it, by another client than ours; a redeclaration with other words fails."""
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        for row in then["exchanges"]:
            channel.exchange_declare(row["name"], row["type"], durable=row["durable"], arguments=row["arguments"])
        for row in then["queues"]:
            channel.queue_declare(row["name"], durable=row["durable"], arguments=row["arguments"])
        for row in [*then["bindings"], STALE]:
            channel.queue_bind(row["destination"], row["source"], row["routing_key"])
