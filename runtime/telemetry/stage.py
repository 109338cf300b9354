"""What one stage counts, and what it has in hand."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Final

from prometheus_client import CollectorRegistry

from runtime.telemetry.door import UNKNOWN
from runtime.telemetry.line import WideLine
from runtime.telemetry.made import Told, counter, gauge, histogram
from schemas.envelope import Envelope, Kind
from schemas.topology import EVENT_TYPES, STAGES

SHOWN_SECONDS: Final = 5.0  # for so long the age of the last batch stands when nothing is in hand


class StageFamilies:
    """The metrics of all stages of a process."""

    def __init__(self, registry: CollectorRegistry, told: Told) -> None:
        self.told = told
        self.received = counter("callstitch_received_total", registry)
        self.handled = counter("callstitch_handled_total", registry)
        self.handle_seconds = histogram("callstitch_handle_seconds", registry)
        self.outputs = counter("callstitch_outputs_total", registry)
        self.events = counter("callstitch_events_total", registry)
        self.retried = counter("callstitch_retried_total", registry)
        self.dead = counter("callstitch_dead_total", registry)
        self.quarantined = counter("callstitch_quarantined_total", registry)
        self.held = gauge("callstitch_held", registry)
        self.paused = gauge("callstitch_paused", registry)
        self.away = gauge("callstitch_away", registry)
        self.tick_failed = counter("callstitch_tick_failed_total", registry)
        self.unwanted = counter("callstitch_unwanted_total", registry)
        self.filtered = counter("callstitch_filtered_total", registry)


class Taken:
    """One batch in hand: how many envelopes, since when, and how old the oldest was then."""

    __slots__ = ("age", "envelopes", "since")

    def __init__(self, envelopes: int, age: float) -> None:
        self.envelopes = envelopes
        self.age = age
        self.since = time.monotonic()

    def unacked(self) -> float:
        """Seconds since it was taken."""
        return time.monotonic() - self.since


class StageMetrics:
    """What one stage counts."""

    def __init__(self, families: StageFamilies, name: str) -> None:
        self._all = families
        self._name = name
        self._received = families.received.labels(name)
        self._handled = families.handled.labels(name)
        self._seconds = families.handle_seconds.labels(name)
        self._dead = families.dead.labels(name)
        self._quarantined = families.quarantined.labels(name)
        self._retried = families.retried.labels(name)
        self._tick_failed = families.tick_failed.labels(name)
        self._unwanted = families.unwanted.labels(name)
        self._filtered = families.filtered.labels(name)
        self._held = families.held.labels(name)
        self._paused = families.paused.labels(name)
        self._away = families.away.labels(name)
        self._in_hand: set[Taken] = set()
        self._last: Taken | None = None
        self._resting = False
        self._sources: Collection[str] | None = None
        self._inner: StageMetrics | None = None
        self.line = WideLine(name)
        row = STAGES.get(name.partition(".")[0])
        self._writes = frozenset((*(row.writes if row else ()), Kind.DEAD))  # unreadable is a dead letter of any stage
        for kind in self._writes:
            families.outputs.labels(name, kind)
        families.told.tell("callstitch_in_flight_envelopes", self._in_flight, name)
        families.told.tell("callstitch_oldest_age_seconds", self._oldest_age, name)
        families.told.tell("callstitch_unacked_seconds", self._unacked, name)

    def counts_events(self, sources: Collection[str]) -> None:
        """It is the one that makes events: they are counted by type and source."""
        self._sources = sources
        for source in sources:
            for event_type in EVENT_TYPES:
                self._all.events.labels(source, event_type)

    def publishes_for(self, inner: StageMetrics) -> None:
        """What leaves of kinds that this stage does not write is the output of the one within it."""
        self._inner = inner

    def took(self, envelopes: int, age: float) -> Taken:
        """A batch is in hand; `age` is that of its oldest envelope, 0 where that means nothing."""
        taken = Taken(envelopes, max(age, 0.0))
        self._in_hand.add(taken)
        self._last, self._resting = taken, False
        self._received.inc(envelopes)
        self.line.took(taken.age)
        return taken

    def settled(self, taken: Taken) -> None:
        """All that followed from it is confirmed, and it is acked."""
        self._in_hand.discard(taken)
        self.line.add(batches=1, envelopes=taken.envelopes)

    def left(self, taken: Taken) -> None:
        """It goes back to its queue, or comes again: until the next is taken it grows older there."""
        if taken in self._in_hand:
            self._in_hand.discard(taken)
            self._last, self._resting = taken, True

    def subscribed(self) -> None:
        """What went back comes again now, unless another process has it."""
        self._resting = False

    def ended(self) -> None:
        """The stage is over, maybe long before its process: nothing of it rests, is held or grows older."""
        self._resting = False
        self._held.set(0)
        self._paused.set(0)
        self._away.set(0)
        self.line.tell()

    def handled(self, envelopes: int, seconds: float) -> None:
        """One batch went through the handler."""
        self._handled.inc(envelopes)
        self._seconds.observe(seconds)
        self.line.handled(seconds)

    def produced(self, outputs: Sequence[Envelope]) -> None:
        """These were published and confirmed."""
        if self._inner is not None:
            self._inner.produced([envelope for envelope in outputs if envelope.kind not in self._writes])
            outputs = [envelope for envelope in outputs if envelope.kind in self._writes]
        for kind, envelopes in Counter([envelope.kind for envelope in outputs]).items():
            self._all.outputs.labels(self._name, kind).inc(envelopes)
            if kind == Kind.DEAD:
                self._dead.inc(envelopes)
            elif kind == Kind.QUARANTINED:
                self._quarantined.inc(envelopes)
            elif kind == Kind.EVENT and self._sources is not None:
                self._events(outputs)
            self.line.add(**{f"produced_{kind}": envelopes})

    def _events(self, outputs: Sequence[Envelope]) -> None:
        for route, events in Counter([one.route for one in outputs if one.kind == Kind.EVENT]).items():
            event_type, _, source = route.rpartition(".")
            known = source if self._sources is not None and source in self._sources else UNKNOWN
            self._all.events.labels(known, event_type if event_type in EVENT_TYPES else UNKNOWN).inc(events)

    def retried(self) -> None:
        """One envelope goes to a delay tier."""
        self._retried.inc()
        self.line.add(retried=1)

    def dead(self) -> None:
        """One envelope goes to the dead letters."""
        self._dead.inc()
        self.line.add(dead=1)

    def quarantined(self) -> None:
        """One envelope goes to quarantine because its handler said that it cannot be read."""
        self._quarantined.inc()
        self.line.add(quarantined=1)

    def tick_failed(self) -> None:
        """A tick raised: deadlines and unsent rows wait for the next one."""
        self._tick_failed.inc()

    def unwanted(self, events: int) -> None:
        """Progress events came back because nobody bound their type."""
        if self._inner is not None:
            return self._inner.unwanted(events)
        return self._unwanted.inc(events)

    def filtered(self, events: int) -> None:
        """The outlet that it serves does not want these: they end here."""
        self._filtered.inc(events)
        self.line.add(filtered=events)

    def held(self, held: int) -> None:
        """1 while a batch is held, else 0."""
        self._held.set(held)

    def paused(self, paused: int) -> None:
        """1 while the sink rests, else 0."""
        self._paused.set(paused)

    def away(self, away: int) -> None:
        """1 while the far end of the sink is away, else 0."""
        self._away.set(away)

    def _in_flight(self) -> float:
        return sum([taken.envelopes for taken in self._in_hand])

    def _unacked(self) -> float:
        return max([taken.unacked() for taken in self._in_hand], default=0.0)

    def _oldest_age(self) -> float:
        """While a batch is in hand, or waits for the end of a rest, it grows older; an idle stage has none."""
        last = self._last
        if self._in_hand:
            return max([taken.age + taken.unacked() for taken in self._in_hand])
        if last is None or not (self._resting or last.unacked() < SHOWN_SECONDS):
            return 0.0
        return last.age + last.unacked() if self._resting else last.age
