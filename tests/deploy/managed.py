"""A private RabbitMQ with the management plugin: what KEDA asks over HTTP."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote, urlsplit

from tests.e2e.programs import request
from tests.services import ports
from tests.services.rabbitmq import RabbitMQ

# How often it counts, and how long a rate looks back: 0.5 s and 1 s in place of 5 s both.
_ADVANCED = """[
  {rabbit, [{collect_statistics_interval, 500}, {quorum_tick_interval, 500}]},
  {rabbitmq_management_agent,
    [{sample_retention_policies, [{global, [{605, 1}]}, {basic, [{605, 1}]}, {detailed, [{10, 1}]}]}]}
].
"""


class ManagedRabbitMQ(RabbitMQ):
    """One node whose management API listens at `api`, and tells its counts within a second."""

    def __init__(self, release: str | None = None) -> None:
        self.api = f"127.0.0.1:{ports.free_port()}"
        super().__init__(release)

    def queue(self, url: str, name: str) -> Any:
        """What the API says of a queue in the vhost of that AMQP URL."""
        vhost = urlsplit(url).path.removeprefix("/")
        key = base64.b64encode(b"guest:guest").decode()
        path = f"/api/queues/{quote(vhost, safe='')}/{quote(name)}"
        answer = request(self.api, "GET", path, headers={"Authorization": f"Basic {key}"})
        assert answer.status == 200, answer.body
        return json.loads(answer.body)

    def _write_files(self) -> None:
        super()._write_files()
        (self.home / "enabled_plugins").write_text("[rabbitmq_management].\n")
        host, _, port = self.api.rpartition(":")
        with (self.home / "rabbitmq.conf").open("a") as conf:
            conf.write(f"management.tcp.ip = {host}\nmanagement.tcp.port = {port}\n")
        (self.home / "advanced.config").write_text(_ADVANCED)

    def _environment(self) -> dict[str, str]:
        return super()._environment() | {"RABBITMQ_ADVANCED_CONFIG_FILE": f"{self.home}/advanced.config"}
