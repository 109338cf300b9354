"""Which queues and bindings we have declared, so that what the config no longer wants is known, and nothing else is.

A queue by itself is a row too: its binding to the default exchange, which every queue has. And since when an outlet is
bound is one, in the pattern of an exchange that no broker has, so that an older program goes on with the same tables.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from schemas.topology import Binding, Topology

DEFAULT_EXCHANGE: Final = ""
SINCE: Final = "@since"
NO_BROKERS: Final = frozenset({DEFAULT_EXCHANGE, SINCE})  # what is recorded by these is bound to nothing
_BEFORE: Final = "before"


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """From when on an outlet's events are counted: a moment, and the last row of the outbox then.

    `bound`: it was bound then, and not earlier, by a version that kept no record of that.
    """

    at: datetime
    row: int
    bound: bool


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


def since_row(queue: str, since: Since) -> Binding:
    """The row that says so."""
    told = f"{since.at.isoformat()} {since.row}" + ("" if since.bound else f" {_BEFORE}")
    return Binding(exchange=SINCE, queue=queue, pattern=told)


def since_in(rows: Iterable[Binding]) -> dict[str, Since]:
    """By queue, as far as it is recorded."""
    return {row.queue: _since(row.pattern) for row in rows if row.exchange == SINCE}


def _since(told: str) -> Since:
    at, number, *before = told.split()
    return Since(at=datetime.fromisoformat(at), row=int(number), bound=not before)


def queues_in(rows: Iterable[Binding]) -> list[str]:
    """The queues that are recorded, sorted."""
    return sorted(row.queue for row in rows if row.exchange == DEFAULT_EXCHANGE)
