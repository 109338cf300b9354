"""Where a published message goes: exchanges and bindings, read as RabbitMQ reads them. No I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from schemas.topology import Binding, Exchange

_DEFAULT_EXCHANGE: Final = ""
_REMEMBERED_KEYS: Final = 10_000


class Routes:
    """One state of the topology; a change makes a new object."""

    def __init__(self, *, exchanges: Iterable[Exchange], queues: Iterable[str], bindings: Iterable[Binding]) -> None:
        self._exchanges = {exchange.name: exchange for exchange in exchanges}
        self._queues = frozenset(queues)
        self._bindings: dict[str, list[tuple[list[str], str]]] = defaultdict(list)
        for binding in bindings:
            self._bindings[binding.exchange].append((binding.pattern.split("."), binding.queue))
        self._known: dict[tuple[str, str], tuple[str, ...]] = {}

    def targets(self, exchange: str, routing_key: str) -> tuple[str, ...]:
        """The queues that get a copy, each once; none: unroutable. An unknown exchange routes nothing."""
        known = self._known.get((exchange, routing_key))
        if known is not None:
            return known
        if len(self._known) >= _REMEMBERED_KEYS:
            self._known.clear()
        found = self._find(exchange, routing_key, frozenset())
        self._known[exchange, routing_key] = found
        return found

    def _find(self, exchange: str, routing_key: str, passed: frozenset[str]) -> tuple[str, ...]:
        if exchange == _DEFAULT_EXCHANGE:
            return (routing_key,) if routing_key in self._queues else ()
        row = self._exchanges.get(exchange)
        if row is None or exchange in passed:
            return ()
        found = self._bound(row, routing_key.split("."))
        if found or row.alternate is None:
            return found
        return self._find(row.alternate, routing_key, passed | {exchange})

    def _bound(self, exchange: Exchange, words: Sequence[str]) -> tuple[str, ...]:
        bindings = self._bindings[exchange.name]
        if exchange.kind == "fanout":
            return tuple(dict.fromkeys(queue for _, queue in bindings))
        return tuple(dict.fromkeys(queue for pattern, queue in bindings if matches(pattern, words)))


def matches(pattern: Sequence[str], words: Sequence[str]) -> bool:
    """Whether a topic pattern fits: `*` is one word, `#` any number of words, none included."""
    if not pattern:
        return not words
    head, rest = pattern[0], pattern[1:]
    if head == "#":
        return matches(rest, words) or (bool(words) and matches(pattern, words[1:]))
    return bool(words) and head in {"*", words[0]} and matches(rest, words[1:])
