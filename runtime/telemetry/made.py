"""Metrics of the client library, made from their definitions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from runtime.telemetry.families import FAMILIES
from runtime.telemetry.family import Family

SECONDS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)
_FAMILY: Final = {family.name: family for family in FAMILIES}
_CREATED: Final = "_created"

Value = float | Callable[[], float]
Values = Callable[[], Mapping[str, float]]


def family(name: str) -> Family:
    """The definition of that name."""
    return _FAMILY[name]


def counter(name: str, registry: CollectorRegistry | None) -> Counter:
    """The counter of that definition."""
    one = family(name)
    return Counter(one.name, one.meaning, one.labels, registry=registry)


def gauge(name: str, registry: CollectorRegistry | None) -> Gauge:
    """The gauge of that definition."""
    one = family(name)
    return Gauge(one.name, one.meaning, one.labels, registry=registry)


def histogram(name: str, registry: CollectorRegistry | None) -> Histogram:
    """The histogram of that definition, in seconds."""
    one = family(name)
    return Histogram(one.name, one.meaning, one.labels, buckets=SECONDS, registry=registry)


class Told(Collector):
    """Gauges that somebody tells now and then, or that are worked out when they are asked for."""

    def __init__(self) -> None:
        self._values: dict[str, dict[tuple[str, ...], Value]] = {}
        self._all: dict[str, Values] = {}

    def tell(self, name: str, value: Value, *labels: str) -> None:
        """From now on this is the value, or what gives it."""
        self._values.setdefault(name, {})[labels] = value

    def tell_all(self, name: str, values: Values) -> None:
        """From now on these are its series, by their one label."""
        self._all[name] = values

    def collect(self) -> Iterator[Metric]:
        """Called by the registry at each look."""
        for name, values in self._values.items():
            yield _gauges(name, {labels: value() if callable(value) else value for labels, value in values.items()})
        for name, all_of_it in self._all.items():
            yield _gauges(name, {(label,): value for label, value in all_of_it().items()})


def _gauges(name: str, values: Mapping[tuple[str, ...], float]) -> Metric:
    one = family(name)
    made = GaugeMetricFamily(one.name, one.meaning, labels=one.labels)
    for labels, value in values.items():
        made.add_metric(labels, float(value))
    return made


def counted(name: str) -> CounterMetricFamily:
    """The counter of that definition, of plain numbers."""
    one = family(name)
    return CounterMetricFamily(one.name, one.meaning, labels=one.labels)


class _Shown(Collector):
    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith(_CREATED)]
            if metric.samples:
                yield metric


def exposition(registry: CollectorRegistry) -> bytes:
    """The text format of Prometheus: families that have a series, and without the client library's `_created`."""
    return generate_latest(_Shown(registry))
