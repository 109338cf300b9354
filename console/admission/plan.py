"""What `callstitch declare` would do now: made, bound, unbound and left over, told before anybody does it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence

from runtime.broker.base import Broker
from schemas.errors import Misconfigured
from schemas.topology import Binding, Topology
from workers.stores.declared import NO_BROKERS


async def missing_from(broker: Broker, wanted: Topology) -> tuple[list[str], list[str]]:
    """The exchanges and the queues that are not there yet; nothing is changed.

    Raises:
        Unavailable: the broker is away.
    """
    there = await broker.depths([queue.name for queue in wanted.queues])
    exchanges: list[str] = []
    for exchange in wanted.exchanges:
        try:
            await broker.check(Topology(exchanges=(exchange,)))
        except Misconfigured:
            exchanges.append(exchange.name)
    return exchanges, [queue.name for queue in wanted.queues if queue.name not in there]


def sentences(
    exchanges: Sequence[str], queues: Sequence[str], wanted: Topology, recorded: Collection[Binding]
) -> Iterator[str]:
    """The plan, as far as the broker and the record of what was declared tell it; none: nothing would change."""
    if exchanges:
        yield f"create {len(exchanges)} exchange(s): {', '.join(exchanges)}"
    if queues:
        yield f"create {len(queues)} queue(s): {', '.join(queues)}"
    known = {row for row in recorded if row.exchange not in NO_BROKERS}
    fresh = set(queues)
    news = [row for row in wanted.bindings if row not in known or row.queue in fresh]
    yield from (f"bind {queue} to {patterns}" for queue, patterns in _by_queue(news))
    stale = known - set(wanted.bindings)
    yield from (f"unbind {queue} from {patterns}" for queue, patterns in _by_queue(stale))


def _by_queue(rows: Iterable[Binding]) -> Iterator[tuple[str, str]]:
    found: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for row in rows:
        found[row.queue, row.exchange].append(row.pattern)
    for (queue, exchange), patterns in sorted(found.items()):
        named = ", ".join(sorted(filter(None, patterns)))
        yield queue, f"{exchange} ({named})" if named else exchange
