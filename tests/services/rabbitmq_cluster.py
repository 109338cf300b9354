"""A private RabbitMQ cluster of three nodes, all on loopback, of which one at a time is stopped, killed and started.

It has the face of a node: what hits it hits the node that leads a queue, and clients are given all three hosts.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Final

from tests.services import ports
from tests.services.rabbitmq import OLDEST, Mates, RabbitMQ

NODES: Final = 3
_SETTINGS: Final[Mapping[str, object]] = {
    "cluster_formation.peer_discovery_backend": "classic_config",
    "cluster_partition_handling": "pause_minority",
}


class Cluster:
    """Three nodes that replicate every quorum queue; `leads` is the queue whose leader is hit.

    Raises:
        debian.Missing: the package is not installed and cannot be.
        RuntimeError: they did not come together; the text ends with the log of one.
    """

    def __init__(self, release: str | None = OLDEST, *, leads: str) -> None:
        names = tuple(f"callstitch-{secrets.token_hex(4)}@localhost" for _ in range(NODES))
        listed = {f"cluster_formation.classic_config.nodes.{n}": name for n, name in enumerate(names, 1)}
        cookie, epmd_port = secrets.token_hex(16), ports.free_port()
        self._leads = leads
        self._vhost = ""
        self._hit: RabbitMQ | None = None
        self.nodes: list[RabbitMQ] = []
        try:
            for name in names:
                mates = Mates(name=name, cookie=cookie, epmd_port=epmd_port)
                self.nodes.append(RabbitMQ(release, settings={**_SETTINGS, **listed}, mates=mates))
            for node in self.nodes:
                node.wait()
            self._see_that_they_are_one()
        except BaseException:
            self.close()
            raise

    @property
    def port(self) -> int:
        """Of the node that was hit last."""
        return (self._hit or self.nodes[0]).port

    def make_vhost(self) -> str:
        """The URL of a new, empty vhost, with all hosts; it is the one whose queue's leader is hit."""
        url = self.nodes[0].make_vhost()
        login, _, place = url.partition("@")
        self._vhost = place.partition("/")[2]
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"{login}@{hosts}/{self._vhost}"

    def leader(self, queue: str) -> RabbitMQ:
        """The node that leads this queue of the vhost."""
        found = self._alive().eval(f"""
            {{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"{self._vhost}">>, queue, <<"{queue}">>)),
            element(2, amqqueue:get_pid(Q)).""")
        return next(node for node in self.nodes if node.name == found.strip("'"))

    def kill(self) -> None:
        """End the leader at once."""
        self._hit = self.leader(self._leads)
        self._hit.kill()

    def stop(self) -> None:
        """End the leader in order, as an upgrade does."""
        self._hit = self.leader(self._leads)
        self._hit.stop()

    def start(self) -> None:
        """Start the one that was hit; returns when it takes connections."""
        assert self._hit is not None
        self._hit.start()

    def close(self) -> None:
        """End them for good and delete their data."""
        for node in reversed(self.nodes):
            node.close()

    def _alive(self) -> RabbitMQ:
        return next(node for node in self.nodes if node.running)

    def _see_that_they_are_one(self) -> None:
        for node in self.nodes:
            others = node.eval("length(nodes()).")
            if int(others) != NODES - 1:
                raise RuntimeError(f"{node.name} sees {others} others")
