"""Metrics: one registry per process, names as data; labels never hold a number or a session id."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

_SECONDS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)


class Telemetry:
    """All metrics of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        own = self.registry
        self.doors = Doors()
        own.register(self.doors)
        self.decisions = Counter(
            "callstitch_decisions", "Questions answered, by who decided", ["source", "by"], registry=own
        )
        self.decision_seconds = Histogram(
            "callstitch_decision_seconds", "From question to decision", ["source"], buckets=_SECONDS, registry=own
        )
        self.unpromised = Counter(
            "callstitch_unpromised", "Questions answered before their push was confirmed", ["source"], registry=own
        )
        self.bundles = Counter("callstitch_door_bundles", "Bundles published by the door", registry=own)
        self.connections = Gauge("callstitch_door_connections", "Open connections of the door", registry=own)
        self.unstored = Counter(
            "callstitch_door_unstored",
            "Pushes refused because they were not stored, by why: unroutable, refused, alarm, late, away",
            ["why"],
            registry=own,
        )
        for why in ("unroutable", "refused", "alarm", "late", "away"):
            self.unstored.labels(why)
        self.handled = Counter("callstitch_handled", "Envelopes handled", ["stage"], registry=own)
        self.handle_seconds = Histogram(
            "callstitch_handle_seconds", "Handler time per batch", ["stage"], buckets=_SECONDS, registry=own
        )
        self.outputs = Counter("callstitch_outputs", "Envelopes published", ["stage", "kind"], registry=own)
        self.retried = Counter("callstitch_retried", "Envelopes sent to a delay tier", ["stage"], registry=own)
        self.dead = Counter("callstitch_dead", "Envelopes dead-lettered", ["stage"], registry=own)
        self.held = Gauge(
            "callstitch_held", "1 while a stage holds a batch because something is away", ["stage"], registry=own
        )
        self.paused = Gauge(
            "callstitch_paused", "1 while a sink rests because its endpoint wants nothing more", ["stage"], registry=own
        )
        self.tick_failed = Counter("callstitch_tick_failed", "Ticks that raised", ["stage"], registry=own)
        self.unwanted = Counter("callstitch_unwanted", "Progress events that no queue wanted", ["stage"], registry=own)
        self.config_stale = Gauge(
            "callstitch_config_stale", "1 while what lies in the config's file could not be taken", registry=own
        )
        self.config_taken = Counter("callstitch_config_taken", "Changed configs that were taken", registry=own)
        self.items = Counter(
            "callstitch_items", "Items of notifications by what became of them", ["source", "result"], registry=own
        )

    def stage(self, name: str) -> StageMetrics:
        """The metrics of one stage, its label bound."""
        return StageMetrics(self, name)

    def door(self, source: str) -> DoorMetrics:
        """The door's metrics of one source."""
        return self.doors.of(source)

    def text(self) -> bytes:
        """The exposition format of Prometheus."""
        return generate_latest(self.registry)


class DoorMetrics:
    """What the door counts of one source, in plain numbers, which `Doors` tells when somebody asks.

    Each push pays for them, and the library's own took a tenth of the steps of a push at the door.
    """

    def __init__(self) -> None:
        self.by_status: dict[int, int] = {}
        self.buckets = [0] * (len(_SECONDS) + 1)
        self.seconds = 0.0

    def answered(self, status: int, seconds: float) -> None:
        """One request got its answer."""
        self.by_status[status] = self.by_status.get(status, 0) + 1
        self.buckets[bisect_left(_SECONDS, seconds)] += 1
        self.seconds += seconds


class Doors(Collector):
    """The door's metrics of all sources, as Prometheus reads them."""

    def __init__(self) -> None:
        self._by_source: defaultdict[str, DoorMetrics] = defaultdict(DoorMetrics)

    def of(self, source: str) -> DoorMetrics:
        """Those of one source."""
        return self._by_source[source]

    def collect(self) -> Iterator[Metric]:
        """Called by the registry at each look."""
        requests = CounterMetricFamily(
            "callstitch_requests", "HTTP requests at the door by answer", labels=["source", "status"]
        )
        seconds = HistogramMetricFamily("callstitch_door_seconds", "From request to answer", labels=["source"])
        bounds = [*map(str, _SECONDS), "+Inf"]
        for source, door in self._by_source.items():
            for status, count in door.by_status.items():
                requests.add_metric([source, str(status)], count)
            buckets = list(zip(bounds, accumulate(door.buckets), strict=True))
            seconds.add_metric([source], buckets, sum_value=door.seconds)
        yield requests
        yield seconds


class StageMetrics:
    """What one stage counts."""

    def __init__(self, telemetry: Telemetry, name: str) -> None:
        self._all = telemetry
        self._name = name
        self._handled = telemetry.handled.labels(name)
        self._seconds = telemetry.handle_seconds.labels(name)
        self._held = telemetry.held.labels(name)
        self._paused = telemetry.paused.labels(name)
        for counter in (telemetry.dead, telemetry.retried, telemetry.tick_failed, telemetry.unwanted):
            counter.labels(name)  # there from the start, so that an alert sees the first one

    def handled(self, envelopes: int, seconds: float) -> None:
        """One batch went through the handler."""
        self._handled.inc(envelopes)
        self._seconds.observe(seconds)

    def outputs(self, kind: str, envelopes: int) -> None:
        """Envelopes of this kind were published and confirmed."""
        self._all.outputs.labels(self._name, kind).inc(envelopes)

    def retried(self) -> None:
        """One envelope goes to a delay tier."""
        self._all.retried.labels(self._name).inc()

    def dead(self) -> None:
        """One envelope goes to the dead letters."""
        self._all.dead.labels(self._name).inc()

    def tick_failed(self) -> None:
        """A tick raised: deadlines and unsent rows wait for the next one."""
        self._all.tick_failed.labels(self._name).inc()

    def unwanted(self) -> None:
        """A progress event came back because nobody bound its type."""
        self._all.unwanted.labels(self._name).inc()

    def held(self, held: int) -> None:
        """1 while a batch is held, else 0."""
        self._held.set(held)

    def paused(self, paused: int) -> None:
        """1 while the sink rests, else 0."""
        self._paused.set(paused)
