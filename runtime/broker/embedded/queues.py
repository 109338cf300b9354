"""All queues of the embedded broker: store, hand out, expire, dead-letter. Only the writer thread touches this."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import orjson

from runtime.broker.base import Message
from runtime.broker.embedded.declared import Declared
from runtime.broker.embedded.file import File, Held, Row, queue_number
from runtime.broker.embedded.stored_queue import StoredQueue, Subscription
from schemas.errors import Unavailable
from schemas.topology import Topology

_EXPIRED_AT_ONCE: Final = 64  # times 256 KiB bounds the memory of one transaction
_EMPTY: Final = Held(messages=0, last_id=0)

Hand = tuple[Subscription, list[Row]]


class Queues:
    """The first half of the methods is memory only: it cannot fail for the file, and needs no transaction.

    Raises:
        sqlite3.Error: the file cannot be read (at construction).
    """

    def __init__(self, file: File, *, clock: Callable[[], float]) -> None:
        self._file = file
        self._clock = clock
        self._declared = self._before = Declared(file)
        self._held = file.held()
        self._numbered: dict[int, StoredQueue] = {}
        self._named: dict[str, StoredQueue] = {}
        self._deleted: dict[int, StoredQueue] = {}  # by the transaction that is open
        self._new: list[Row] = []
        self._owed: list[int] = []  # acked; deleted by the next transaction that commits
        self._handed: list[Hand] = []
        self._learn_queues()

    def subscribe(self, queue: str, prefetch: int, give: Callable[[Sequence[Row]], None]) -> Subscription:
        """Begin to hand out up to `prefetch` unsettled messages.

        Raises:
            Unavailable: there is no such queue.
        """
        if queue not in self._named:
            raise Unavailable(f"queue {queue} does not exist")
        subscription = Subscription(queue=self._named[queue], credit=prefetch, give=give)
        subscription.queue.subscriptions.append(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Hand out no more; what it leases stays leased."""
        if subscription in subscription.queue.subscriptions:
            subscription.queue.subscriptions.remove(subscription)

    def close(self, subscription: Subscription) -> None:
        """Hand out no more, and take back what it leases."""
        self.unsubscribe(subscription)
        subscription.queue.release(subscription, tuple(subscription.leased))

    def ack(self, subscription: Subscription, ids: Iterable[int]) -> None:
        """Done for good: never handed out again, and deleted by the next transaction that commits."""
        self._owed += subscription.queue.ack(subscription, ids)

    def release(self, subscription: Subscription, ids: Iterable[int]) -> None:
        """Ready again, before everything that came later."""
        subscription.queue.release(subscription, ids)

    def depths(self, names: Iterable[str]) -> dict[str, int]:
        """Messages ready in each queue; unknown names are left out."""
        return {name: self._named[name].depth for name in names if name in self._named}

    def consumers(self, names: Iterable[str]) -> dict[str, int]:
        """Subscriptions to each queue; unknown names are left out."""
        return {name: len(self._named[name].subscriptions) for name in names if name in self._named}

    def check(self, topology: Topology) -> None:
        """Raise Misconfigured unless all exchanges and queues of the topology exist."""
        self._declared.check(topology)

    def differing(self, topology: Topology) -> list[str]:
        """What of the topology exists with other arguments."""
        return self._declared.differing(topology)

    @property
    def waiting(self) -> bool:
        """Whether some message waits for its time, so that `pressing` may soon change by itself."""
        return any(queue.expires and queue.depth for queue in self._numbered.values())

    @property
    def pressing(self) -> bool:
        """Whether there is something to write although nothing was published."""
        now = self._clock()
        return bool(self._owed) or any(queue.servable or queue.overdue(now) for queue in self._numbered.values())

    def begin(self, *, synchronous: str) -> None:
        """Start a transaction; all that follows is undone by `rollback`."""
        self._before = self._declared
        self._deleted.clear()
        self._file.begin(synchronous=synchronous)

    def prove_writable(self) -> None:
        """Write something, so that a commit tells whether the file takes writes again."""
        self._file.rewrite_version()

    def declare(self, topology: Topology) -> None:
        """Create what is missing, and unbind.

        Raises:
            Misconfigured: something of that name exists with other arguments; nothing is changed then.
        """
        self._declared.write(topology)
        self._declared = Declared(self._file)
        self._learn_queues()

    def delete(self, name: str) -> bool:
        """Delete an empty queue that nobody consumes, and its bindings; whether it is gone."""
        queue = self._named.get(name)
        if queue is None:
            return True
        if queue.subscriptions or queue.messages:
            return False
        self._file.delete_queue(name)
        self._declared = Declared(self._file)
        (number,) = (number for number, one in self._numbered.items() if one is queue)
        self._deleted[number] = queue
        del self._numbered[number], self._named[name]
        self._held.pop(number, None)  # the next new queue may get the number
        return True

    def store(self, batch: Sequence[Message]) -> frozenset[str]:
        """Put each message into every queue that it is routed to; returns the ids of those that found none."""
        return frozenset(message.message_id for message in batch if not self._route(_row(message), message.exchange))

    def store_question(self, question: Message, *, seconds: float, correlation_id: str) -> bool:
        """Put a question, which expires, into its queues; whether there was one."""
        row = _row(question)._replace(due=self._clock() + seconds, correlation_id=correlation_id)
        return self._route(row, question.exchange)

    def withdraw(self, correlation_id: str) -> None:
        """Delete a question, unless a consumer has it."""
        for id_ in self._file.questions(correlation_id):
            queue = self._numbered[queue_number(id_)]
            if not queue.leases(id_):
                queue.drop(id_)

    def commit(self) -> list[Hand]:
        """Expire, hand out, and commit; returns what goes to which consumer, in order."""
        if self._owed:
            self._file.delete(self._owed)
        self._insert_new()
        now = self._clock()
        for queue in self._numbered.values():
            if queue.overdue(now):
                self._expire(queue, now)
        self._insert_new()
        for queue in self._numbered.values():
            self._serve(queue, now)
        self._insert_new()
        self._file.commit()
        self._owed.clear()
        for queue in self._numbered.values():
            queue.commit()
        handed, self._handed = self._handed, []
        return handed

    def rollback(self) -> None:
        """As if nothing had happened since `begin`; what is acked stays acked."""
        self._new.clear()
        self._handed.clear()
        for queue in self._numbered.values():
            queue.rollback()
        self._declared = self._before
        for number in self._numbered.keys() - (self._declared.queues.keys() - self._deleted.keys()):
            del self._named[self._numbered.pop(number).spec.name]
        for number, queue in self._deleted.items():
            self._numbered[number] = self._named[queue.spec.name] = queue
        self._file.rollback()

    def close_file(self) -> None:
        """Checkpoint and close."""
        self._file.close()

    def _learn_queues(self) -> None:
        for number, spec in self._declared.queues.items():
            if number not in self._numbered:
                held = self._held.get(number, _EMPTY)
                queue = StoredQueue(file=self._file, number=number, spec=spec, held=held)
                self._numbered[number] = self._named[spec.name] = queue

    def _route(self, row: Row, exchange: str) -> bool:
        targets = self._declared.routes.targets(exchange, row.routing_key)
        for name in targets:
            self._put(self._named[name], row)
        return bool(targets)

    def _put(self, queue: StoredQueue, row: Row) -> None:
        due = self._clock() + (queue.spec.ttl_seconds or 0) if queue.expires else row.due
        self._new.append(Row(queue.next_id(), row.deliveries, due, *row[3:]))
        queue.add(1)

    def _insert_new(self) -> None:
        if self._new:
            self._file.insert(self._new)
            self._new.clear()

    def _expire(self, queue: StoredQueue, now: float) -> None:
        rows = queue.take(_EXPIRED_AT_ONCE)
        queue.give_back(row.id for row in rows if (row.due or 0) > now)
        for row in rows:
            if (row.due or 0) <= now and not self._dead_letter(queue, row, "expired"):
                self._put(queue, row)  # its queue does not exist: it waits once more, and nothing is lost
                queue.drop(row.id)

    def _serve(self, queue: StoredQueue, now: float) -> None:
        for _ in range(len(queue.subscriptions)):
            subscription = queue.subscriptions[0]
            queue.subscriptions.rotate(-1)
            while (wanted := min(subscription.credit, queue.depth)) > 0:
                rows = queue.take(wanted)
                self._hand_out(subscription, [row for row in rows if self._deliverable(queue, row, now)])
                if not rows:
                    break

    def _hand_out(self, subscription: Subscription, rows: list[Row]) -> None:
        if rows:
            subscription.queue.lease(subscription, [row.id for row in rows])
            self._handed.append((subscription, rows))

    def _deliverable(self, queue: StoredQueue, row: Row, now: float) -> bool:
        if row.correlation_id and (row.due or 0) <= now:
            queue.drop(row.id)
            return False
        limit = queue.spec.delivery_limit
        if limit is None or row.deliveries <= limit:
            return True
        return not self._dead_letter(queue, row, "delivery_limit")  # handed out again rather than dropped

    def _dead_letter(self, queue: StoredQueue, row: Row, reason: str) -> bool:
        if queue.spec.dead_letter_exchange is None:
            return False
        headers = orjson.loads(row.headers or b"{}")
        headers.setdefault("x-first-death-queue", queue.spec.name)
        headers.setdefault("x-first-death-reason", reason)
        letter = row._replace(
            deliveries=0,
            due=None,
            routing_key=queue.spec.dead_letter_key or row.routing_key,
            headers=orjson.dumps(headers).decode(),
            correlation_id="",
        )
        if not self._route(letter, queue.spec.dead_letter_exchange):
            return False
        queue.drop(row.id)
        return True


def _row(message: Message) -> Row:
    return Row(
        id=0,
        deliveries=0,
        due=None,
        routing_key=message.routing_key,
        message_id=message.message_id,
        content_type=message.content_type,
        headers=orjson.dumps(dict(message.headers)).decode() if message.headers else "",
        correlation_id="",
        body=message.body,
    )
