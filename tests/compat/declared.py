"""What a RabbitMQ holds after `callstitch declare`, as the server itself tells it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from tests.compat.recorded import CONFIG, FIXTURES
from tests.e2e.programs import Program
from tests.services.rabbitmq import RabbitMQ

TOPOLOGY: Final = FIXTURES / "rabbitmq.json"
_SECONDS: Final = 60.0
_ADDED: Final = "callstitch.switch."  # queues of later versions
_NO_LIMIT: Final = {"x-delivery-limit": -1}  # what RabbitMQ 4 and newer are told of a queue that has none

Definitions = dict[str, list[dict[str, Any]]]


def run(command: str, url: str, directory: Path) -> None:
    """A command of the operator's on that broker; it has to succeed."""
    program = Program(
        arguments=(command, "--config", str(CONFIG)),
        directory=directory,
        environ={"CALLSTITCH_BROKER": url, "CALLSTITCH_STORE": "sqlite:state"},
        name=command,
    )
    program.start()
    assert program.wait(_SECONDS) == 0, program.tail()


def definitions(node: RabbitMQ, *urls: str) -> list[Definitions]:
    """Exchanges, queues and bindings of each vhost, in one order."""
    told = json.loads(node.ctl("export_definitions", "-", "--format", "json"))
    return [_of_vhost(told, url.rpartition("/")[2]) for url in urls]


def _of_vhost(told: dict[str, list[dict[str, Any]]], vhost: str) -> Definitions:
    found: Definitions = {}
    for what in ("exchanges", "queues", "bindings"):
        rows = [{k: v for k, v in row.items() if k != "vhost"} for row in told[what] if row["vhost"] == vhost]
        rows = [row for row in rows if not str(row.get("name", "")).startswith(_ADDED)]
        found[what] = sorted(map(_without_no_limit, rows), key=lambda row: json.dumps(row, sort_keys=True))
    return found


def _without_no_limit(row: dict[str, Any]) -> dict[str, Any]:
    arguments = {name: value for name, value in row["arguments"].items() if (name, value) not in _NO_LIMIT.items()}
    return {**row, "arguments": arguments}
