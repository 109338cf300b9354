"""Whose CPU a run took: the contender's processes, the broker, the store, and the bench itself."""

from __future__ import annotations

import time

from tests.bench.contender import Processes
from tests.bench.figures import Used
from tests.bench.theatre import Theatre


class Meter:
    """Counts from now on. `store`: the contender keeps its state in the cluster, so the cluster's CPU is its cost."""

    def __init__(self, theatre: Theatre, found: Processes, *, store: bool = False) -> None:
        """Count from now on."""
        self._theatre = theatre
        self._found = found
        self._store = store
        self._began = self._now()

    def used(self, *, generator: float = 0.0) -> Used:
        """Since then; this process is the one that watches. The generator tells its own."""
        began, now = self._began, self._now()
        parts = {name: cpu - began.parts.get(name, 0.0) for name, cpu in now.parts.items()}
        return Used(
            cpu=now.cpu - began.cpu,
            broker=now.broker - began.broker,
            store=now.store - began.store,
            generator=generator,
            watcher=now.watcher - began.watcher,
            parts=parts if len(parts) > 1 else {},
            peak_mib=now.peak_mib,
        )

    def _now(self) -> Used:
        usage = self._found.usage
        return Used(
            cpu=usage.cpu,
            broker=self._theatre.broker_cpu,
            store=self._theatre.store_cpu if self._store else 0.0,
            watcher=time.process_time(),
            parts={name: used.cpu for name, used in self._found.usage_by_name.items()},
            peak_mib=usage.peak_mib,
        )
