"""What is declared in the embedded broker's file, so that a restart knows it and a changed queue is refused."""

from __future__ import annotations

from collections.abc import Mapping

from runtime.broker.embedded.file import File
from runtime.broker.embedded.routes import Routes
from schemas.errors import Misconfigured
from schemas.topology import Exchange, Queue, Topology


class Declared:
    """One state of the topology as the file holds it; a change makes a new object."""

    def __init__(self, file: File) -> None:
        self._file = file
        self.queues = file.queues()
        self._queues = {queue.name: queue for queue in self.queues.values()}
        self._exchanges = {exchange.name: exchange for exchange in file.exchanges()}
        self.routes = Routes(exchanges=self._exchanges.values(), queues=self._queues, bindings=file.bindings())

    def check(self, topology: Topology) -> None:
        """Raise Misconfigured unless all exchanges and queues of the topology exist."""
        missing = [queue.name for queue in topology.queues if queue.name not in self._queues]
        missing += [exchange.name for exchange in topology.exchanges if exchange.name not in self._exchanges]
        if missing:
            raise Misconfigured(f"run `callstitch declare` first: not declared: {', '.join(missing)}")

    def differing(self, topology: Topology) -> list[str]:
        """What of the topology exists with other arguments."""
        rows = ((self._queues, topology.queues), (self._exchanges, topology.exchanges))
        changed = [row.name for there, wanted in rows for row in wanted if there.get(row.name, row) != row]
        return [f"{name} exists with other arguments" for name in changed]

    def write(self, topology: Topology) -> None:
        """Add to the file, in a transaction, what is missing, and remove what is unbound.

        Raises:
            Misconfigured: a queue or exchange has other arguments, or a binding names one that does not exist;
                nothing is written then.
        """
        queues = {queue.name: queue for queue in topology.queues}
        exchanges = {exchange.name: exchange for exchange in topology.exchanges}
        _refuse_changes(self._queues, queues)
        _refuse_changes(self._exchanges, exchanges)
        for binding in topology.bindings:
            if binding.queue not in self._queues | queues or binding.exchange not in self._exchanges | exchanges:
                raise Misconfigured(f"cannot bind {binding.queue} to {binding.exchange}: one of them is not declared")
        self._file.add_queues(queue for name, queue in queues.items() if name not in self._queues)
        self._file.add_exchanges(row for name, row in exchanges.items() if name not in self._exchanges)
        self._file.bind(topology.bindings)
        self._file.unbind(topology.unbound)


def _refuse_changes(there: Mapping[str, Queue | Exchange], wanted: Mapping[str, Queue | Exchange]) -> None:
    for name, row in wanted.items():
        if there.get(name, row) != row:
            raise Misconfigured(f"{name} exists with other arguments; changed arguments need a new version suffix")
