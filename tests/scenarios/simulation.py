"""A deterministic simulation: the real dedupe and correlate over real SQLite, under a seeded scheduler.

The broker is a model: it hands out in any order, hands out again what was not acked, and loses nothing. Two processes
a stage go on from one `moment` to the next, by turns that the seed draws; at each moment one may die, or all at once.
The moments lie before and after every transaction, between the publishes and around mark and ack. Time is simulated,
and a coroutine is stepped by hand, so the same seed runs the same way everywhere.
"""

from __future__ import annotations

import sqlite3
import types
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from runtime.events.batch import events_of
from runtime.wire import monotonic_message_ids, pack
from schemas.envelope import Envelope, decode_bundle
from schemas.errors import Unavailable
from schemas.stage import Failed, Outcome, Stage
from schemas.topology import (
    BATCHES,
    CALLS,
    EVENT_TYPES,
    RECEIVED,
    RECORDINGS,
    SINGLY,
    UNIQUE,
    Forms,
    Subscription,
    topology,
)
from workers.stores.sqlite.file import SqliteFile, _migrate

PROCESSES: Final = 2  # of each stage
TROUBLE_STEPS: Final = 500  # then everybody lives, and what is left drains
STEPS_MOST: Final = 10_000
TURN_SECONDS: Final = (0, 0.01, 0.3, 1.5)
IDLE_SECONDS: Final = 10
QUIET_TICKS: Final = 8  # times IDLE_SECONDS: longer than open_max, settle and the outbox' lease together
DEATH: Final = 0.03  # chances, at each step:
POWER_CUT: Final = 0.4  # of those deaths that take everybody
CUT_OFF: Final = 0.01  # the broker hands a batch to somebody else while its worker goes on
UNSURE: Final = 0.02  # a commit whose outcome the worker is not told
UNCONFIRMED: Final = 0.03  # a publish whose confirm is lost
TICK: Final = 0.08

_ALL: Final = [Subscription(queue="q", events=EVENT_TYPES, batch=True)]
FORMS: Final[Sequence[Forms]] = (SINGLY, topology(_ALL).forms)

P = ParamSpec("P")
T = TypeVar("T")
Steps = Coroutine[Any, Any, None]


@types.coroutine
def moment() -> Generator[None, None, None]:
    """Where others have their turn, and where a process may die."""
    yield


@dataclass(kw_only=True)
class World:
    """What outlives every process: the broker's queues, the events that consumers got, and the clock.

    In a `calm` world nobody dies and every queue keeps its order.
    """

    rng: Random
    now: datetime
    calm: bool
    troubled: bool = False
    queues: dict[str, list[bytes]] = field(default_factory=lambda: {RECEIVED: [], UNIQUE: [], RECORDINGS: []})
    databases: list[sqlite3.Connection] = field(default_factory=list)
    events: list[bytes] = field(default_factory=list)
    came_again: set[bytes] = field(default_factory=set)  # messages of which the broker counts more than one delivery
    published: int = 0
    deaths: int = 0

    def happens(self, chance: float) -> bool:
        """Whether this misfortune happens now."""
        return self.troubled and self.rng.random() < chance

    def publish(self, envelopes: Sequence[Envelope]) -> None:
        """As the runtime packs them, the events now in one form, now in the other; consumers keep every delivery."""
        for message in pack(envelopes, monotonic_message_ids("sim"), FORMS[self.published % len(FORMS)]):
            if message.exchange == BATCHES:
                self.events += [event.body for event in events_of(message, self.now) if isinstance(event.body, bytes)]
            else:
                kept = self.events if message.exchange == CALLS else self.queues[message.routing_key]
                kept.append(message.body)
            self.published += 1


class MemoryFile(SqliteFile):
    """The real transactions, in memory and on this thread, with a moment before and after each."""

    def __init__(self, world: World, migrations: Sequence[str]) -> None:
        self._world = world
        db = sqlite3.connect(":memory:", isolation_level=None)
        super().__init__(Path(":memory:"), db, ThreadPoolExecutor(1))  # which starts no thread until it is given work
        _migrate(db, Path(":memory:"), migrations)
        world.databases.append(db)

    async def write(
        self, work: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        await moment()
        result = self._transact(lambda db: work(db, *args, **kwargs))
        await moment()
        if self._world.happens(UNSURE):
            raise Unavailable("nobody knows whether that was committed")
        return result


@dataclass(eq=False, kw_only=True)
class Work:
    """One batch in the hands of one process, `messages` not acked until `ack`; or one tick, which holds none."""

    world: World
    stage: Stage
    messages: list[bytes]
    handle: Callable[[], Awaitable[Outcome]]
    is_tick: bool

    async def outputs(self) -> list[Envelope]:
        """What the stage makes of it. While the store is away a batch is held; a tick has then brought nothing."""
        while True:
            with suppress(Unavailable):
                outcome = await self.handle()
                assert not [item for item in outcome if isinstance(item, Failed)], outcome
                return [item for item in outcome if isinstance(item, Envelope)]
            if self.is_tick:
                return []

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        """In two parts, between which one may die; without a confirm, once more."""
        while True:
            some = self.world.rng.randint(0, len(envelopes))
            for part in (envelopes[:some], envelopes[some:]):
                self.world.publish(part)
                await moment()
            if not self.world.happens(UNCONFIRMED):
                return

    async def mark(self, outputs: Sequence[Envelope]) -> None:
        """Tell the stage what was confirmed; a mark that is lost stays lost."""
        if self.stage.published is not None and outputs:
            with suppress(Unavailable):
                await self.stage.published([envelope.id for envelope in outputs])

    def ack(self) -> None:
        self.messages.clear()


Order = Callable[[Work], Steps]


@dataclass(eq=False, kw_only=True)
class Process:
    """One process of a stage with at most one batch and one tick under way; `start` gives it a fresh memory."""

    world: World
    queue: str
    order: Order
    start: Callable[[], Stage]
    under_way: list[tuple[Work, Steps]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stage = self.start()

    @property
    def is_busy(self) -> bool:
        return bool(self.under_way or self.world.queues[self.queue])

    def turn(self) -> None:
        """Take a batch if it can, or begin a tick, or take one step of what is under way."""
        if self.world.queues[self.queue] and all(work.is_tick for work, _ in self.under_way):
            self._take()
        elif not self.under_way or self.world.rng.random() < TICK:
            self.tick()
        else:
            self._step()

    def tick(self) -> None:
        """Begin a tick, unless one is under way."""
        if (tick := self.stage.tick) and not any(work.is_tick for work, _ in self.under_way):
            self._begin([], lambda: tick(self.world.now), is_tick=True)

    def _take(self) -> None:
        waiting, most = self.world.queues[self.queue], self.world.rng.randint(1, 4)
        if not self.world.calm:
            self.world.rng.shuffle(waiting)
        taken, waiting[:most] = waiting[:most], []
        envelopes = [envelope for message in taken for envelope in decode_bundle(message)]
        stage = self.stage
        handle = stage.handle if self.world.came_again.isdisjoint(taken) else stage.careful or stage.handle
        self._begin(taken, lambda: handle(envelopes), is_tick=False)

    def _begin(self, messages: list[bytes], handle: Callable[[], Awaitable[Outcome]], *, is_tick: bool) -> None:
        work = Work(world=self.world, stage=self.stage, messages=messages, handle=handle, is_tick=is_tick)
        self.under_way.append((work, self.order(work)))

    def _step(self) -> None:
        work, steps = chosen = self.world.rng.choice(self.under_way)
        if self.world.happens(CUT_OFF):
            self._give_back(work)
        try:
            steps.send(None)
        except StopIteration:
            self.under_way.remove(chosen)

    def die(self) -> None:
        """All that it knew is gone, and what it held comes again."""
        for work, steps in self.under_way:
            steps.close()
            self._give_back(work)
        self.under_way.clear()
        self.stage = self.start()

    def _give_back(self, work: Work) -> None:
        self.world.queues[self.queue] += work.messages
        self.world.came_again.update(work.messages)
        work.messages.clear()


@dataclass(kw_only=True)
class Simulation:
    """One seed's run: `arrivals` come to the door by their `at`; `starts` makes the stage of each queue's processes."""

    world: World
    starts: Mapping[str, Callable[[], Stage]]
    order: Order
    arrivals: deque[Envelope]

    def __post_init__(self) -> None:
        self.processes = [
            Process(world=self.world, queue=queue, order=self.order, start=start)
            for queue, start in self.starts.items()
            for _ in range(1 if self.world.calm else PROCESSES)
        ]

    def run(self) -> None:
        """Until all that came is done and the ticks of a long while brought nothing; fails if that does not come."""
        world, quiet, published = self.world, 0, 0
        for n in range(STEPS_MOST):
            world.troubled = not world.calm and n < TROUBLE_STEPS
            self._arrive()
            if busy := [process for process in self.processes if process.is_busy]:
                self._turn(busy)
            elif self.arrivals:
                world.now = max(world.now, self.arrivals[0].at)
            elif quiet == QUIET_TICKS:
                return
            else:
                quiet = quiet + 1 if published == world.published else 0
                published = world.published
                self._wait()
        raise AssertionError(f"not at rest after {STEPS_MOST} steps")

    def _arrive(self) -> None:
        """The door publishes what has come, in bundles; it too may miss a confirm."""
        rng, due = self.world.rng, []
        while self.arrivals and self.arrivals[0].at <= self.world.now:
            due.append(self.arrivals.popleft())
        while due:
            most = rng.randint(1, 5)
            bundle, due[:most] = due[:most], []
            for _ in range(2 if self.world.happens(UNCONFIRMED) else 1):
                self.world.publish(bundle)

    def _turn(self, busy: Sequence[Process]) -> None:
        rng = self.world.rng
        self.world.now += timedelta(seconds=rng.choice(TURN_SECONDS))
        chosen = rng.choice(busy)
        if not self.world.happens(DEATH):
            return chosen.turn()
        self.world.deaths += 1
        for process in self.processes if rng.random() < POWER_CUT else [chosen]:
            process.die()
        return None

    def _wait(self) -> None:
        self.world.now += timedelta(seconds=IDLE_SECONDS)
        for process in self.processes:
            process.tick()
