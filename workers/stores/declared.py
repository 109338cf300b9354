"""Which queues and bindings we have declared, so that what the config no longer wants is known, and nothing else is.

A queue by itself is a row too: its binding to the default exchange, which every queue has.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final, Protocol

from schemas.topology import Binding, Topology

DEFAULT_EXCHANGE: Final = ""


class DeclaredStore(Protocol):
    """The record, open for writing; Unavailable as for every store."""

    async def declared(self) -> Sequence[Binding]:
        """All rows, sorted."""
        ...

    async def record(self, rows: Collection[Binding]) -> None:
        """Add rows; one that is there already is left alone."""
        ...

    async def forget(self, rows: Collection[Binding]) -> None:
        """Remove rows; one that is not there is ignored."""
        ...


def rows_of(topology: Topology) -> frozenset[Binding]:
    """What has to be recorded of a topology before it is declared."""
    return frozenset({*topology.bindings, *map(queue_row, (queue.name for queue in topology.queues))})


def queue_row(queue: str) -> Binding:
    """The row of the queue itself."""
    return Binding(exchange=DEFAULT_EXCHANGE, queue=queue)


def queues_in(rows: Iterable[Binding]) -> list[str]:
    """The queues that are recorded, sorted."""
    return sorted(row.queue for row in rows if row.exchange == DEFAULT_EXCHANGE)
