"""Metrics: one registry per process, names as data; labels never hold a number or a session id."""

from __future__ import annotations

import platform
from collections.abc import Collection
from importlib.metadata import version

from prometheus_client import CollectorRegistry, ProcessCollector

from runtime.telemetry.door import DoorMetrics, Doors
from runtime.telemetry.made import Told, Value, Values, counter, exposition, gauge, histogram
from runtime.telemetry.stage import StageFamilies, StageMetrics


class Telemetry:
    """All metrics of one process."""

    def __init__(self) -> None:
        self.registry = own = CollectorRegistry()
        self.doors, self._told = Doors(), Told()
        own.register(self.doors)
        own.register(self._told)
        self.bundles = self.doors.commits
        self.connections = self.doors.connections
        self.unstored = self.doors.unstored
        self.decisions = counter("callstitch_decisions_total", own)
        self.decision_seconds = histogram("callstitch_decision_seconds", own)
        self.unpromised = counter("callstitch_unpromised_total", own)
        self.items = counter("callstitch_items_total", own)
        self.recordings = counter("callstitch_recordings_total", own)
        self.delivered = counter("callstitch_sink_delivered_total", own)
        self.failed = counter("callstitch_sink_failed_total", own)
        self.config_stale = gauge("callstitch_config_stale", own)
        self.config_taken = counter("callstitch_config_taken_total", own)
        self._stages = StageFamilies(own, self._told)
        self._by_name: dict[str, StageMetrics] = {}
        self.held = self._stages.held
        self.tell("callstitch_build_info", 1, version("callstitch"), platform.python_version())
        ProcessCollector(registry=own)

    def stage(self, name: str) -> StageMetrics:
        """The metrics of one stage, its label bound; the same for all who ask."""
        if name not in self._by_name:
            self._by_name[name] = StageMetrics(self._stages, name)
        return self._by_name[name]

    def door(self, source: str) -> DoorMetrics:
        """The door's metrics of one source."""
        return self.doors.of(source)

    def asking(self, source: str, deciders: Collection[str]) -> None:
        """Pushes of this source may be questions."""
        for by in deciders:
            self.decisions.labels(source, by)
        self.decision_seconds.labels(source)
        self.unpromised.labels(source)

    def tell(self, name: str, value: Value, *labels: str) -> None:
        """The gauge of that definition has this value from now on, or what this function gives."""
        self._told.tell(name, value, *labels)

    def tell_all(self, name: str, values: Values) -> None:
        """The gauge of that definition has the series that this function gives, by their one label, at each look."""
        self._told.tell_all(name, values)

    def text(self) -> bytes:
        """The exposition format of Prometheus."""
        return exposition(self.registry)
