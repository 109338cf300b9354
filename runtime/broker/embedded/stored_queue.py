"""One queue of the embedded broker: what is ready and what is leased to whom.

The file is the truth for messages and their delivery counts. Leases are in memory, because one process owns the
file: after a restart everything leased is ready again. Only the writer thread touches this.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from runtime.broker.embedded.file import File, Held, Row, first_id
from schemas.topology import Queue


@dataclass(slots=True, eq=False)
class Subscription:
    """One consumer: `credit` more messages may be handed to `give`, which is called after the commit."""

    queue: StoredQueue
    credit: int
    give: Callable[[Sequence[Row]], None]
    leased: set[int] = field(default_factory=set)


class StoredQueue:
    """Ready are the ids in `_returned`, and everything stored after `_cursor`.

    `take`, `lease`, `add` and `drop` belong to a transaction, and `rollback` takes them back in memory.
    """

    def __init__(self, *, file: File, number: int, spec: Queue, held: Held) -> None:
        self.spec = spec
        # without a dead-letter exchange nothing expires: it would be dropped silently
        self.expires = spec.ttl_seconds is not None and spec.dead_letter_exchange is not None
        self.subscriptions: deque[Subscription] = deque()
        self._file = file
        self._cursor = first_id(number)
        self._end = first_id(number + 1)
        self._last_id = held.last_id or self._cursor
        self._messages = held.messages
        self._returned: list[int] = []
        self._leased: set[int] = set()
        self._taken: set[int] = set()
        self._leases: list[tuple[Subscription, list[int]]] = []
        self._grown = 0

    @property
    def depth(self) -> int:
        """Messages that are ready."""
        return self._messages - len(self._leased)

    @property
    def messages(self) -> int:
        """All that it holds, leased ones too."""
        return self._messages

    @property
    def servable(self) -> bool:
        """Whether somebody wants what is ready."""
        return self.depth > 0 and any(subscription.credit > 0 for subscription in self.subscriptions)

    def overdue(self, now: float) -> bool:
        """Whether its first message has expired; all of a queue wait equally long, so the first is the oldest."""
        if not self.expires or self.depth <= 0:
            return False
        first, end = self._cursor, self._end
        if self._returned:
            first, end = self._returned[0] - 1, self._returned[0] + 1
        due = self._file.due(first, end)
        return due is None or due <= now

    def next_id(self) -> int:
        """The id of a message about to be added at the end."""
        self._last_id += 1
        return self._last_id

    def add(self, messages: int) -> None:
        """So many more are stored by this transaction."""
        self._messages += messages
        self._grown += messages

    def drop(self, id_: int) -> None:
        """Delete a message that is not leased."""
        self._file.delete([id_])
        self.add(-1)

    def take(self, most: int) -> list[Row]:
        """The first ready messages, which are then no longer ready; lease, drop or give them back."""
        ids = [heapq.heappop(self._returned) for _ in range(min(most, len(self._returned)))]
        rows = self._file.these(ids) if ids else []
        if len(ids) < most:
            stored = self._file.after(self._cursor, self._end, most - len(ids))
            self._cursor = stored[-1].id if stored else self._cursor
            rows += stored
        self._taken.update(row.id for row in rows)
        return rows

    def lease(self, subscription: Subscription, ids: list[int]) -> None:
        """Hand these, taken before, to a consumer, and count the delivery."""
        self._file.count_delivery(ids)
        self._leased.update(ids)
        subscription.leased.update(ids)
        subscription.credit -= len(ids)
        self._leases.append((subscription, ids))

    def give_back(self, ids: Iterable[int]) -> None:
        """Ready again, before everything that came later."""
        for id_ in ids:
            self._taken.discard(id_)
            heapq.heappush(self._returned, id_)

    def leases(self, id_: int) -> bool:
        """Whether some consumer has that message."""
        return id_ in self._leased

    def ack(self, subscription: Subscription, ids: Iterable[int]) -> list[int]:
        """Forget what this consumer did; returns what is to be deleted, and ignores what it does not lease."""
        done = self._end_leases(subscription, ids)
        self._messages -= len(done)
        return done

    def release(self, subscription: Subscription, ids: Iterable[int]) -> None:
        """Ready again what this consumer leases."""
        self.give_back(self._end_leases(subscription, ids))

    def commit(self) -> None:
        """What the transaction did is final."""
        self._taken.clear()
        self._leases.clear()
        self._grown = 0

    def rollback(self) -> None:
        """Nothing of what the transaction did has happened; ids are not used again."""
        for subscription, ids in self._leases:
            self._end_leases(subscription, ids)
        self._messages -= self._grown
        self.give_back(tuple(self._taken))
        self.commit()

    def _end_leases(self, subscription: Subscription, ids: Iterable[int]) -> list[int]:
        ended = [id_ for id_ in ids if id_ in subscription.leased]
        subscription.leased.difference_update(ended)
        subscription.credit += len(ended)
        self._leased.difference_update(ended)
        return ended
