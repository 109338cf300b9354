"""What the door counts, in plain numbers, which `Doors` tells when somebody asks.

Each push pays for them, and the client library's own took a tenth of the steps of a push at the door.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client import Metric
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from runtime.telemetry.made import SECONDS, counted, counter, family, gauge

UNKNOWN: Final = "unknown"  # the source of a request that names none
_WHYS: Final = ("unroutable", "refused", "alarm", "late", "away")
_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_ANSWERS: Final = (200, 400, 401, 405, 408, 413, 503)
_NO_SUCH_SOURCE: Final = (404,)


class DoorMetrics:
    """What the door counts of one source; `accepted` are the pushes that were stored."""

    def __init__(self, statuses: Sequence[int] = ()) -> None:
        self.by_status: dict[int, int] = dict.fromkeys(statuses, 0)
        self.buckets = [0] * (len(SECONDS) + 1)
        self.seconds = 0.0
        self.accepted = 0

    def answered(self, status: int, seconds: float) -> None:
        """One request got its answer."""
        self.by_status[status] = self.by_status.get(status, 0) + 1
        self.buckets[bisect_left(SECONDS, seconds)] += 1
        self.seconds += seconds


class Commits:
    """What the door counts of its group commits."""

    def __init__(self) -> None:
        self.bundles = 0
        self.buckets = [0] * (len(SECONDS) + 1)
        self.seconds = 0.0
        self.sizes = [0] * (len(_SIZES) + 1)
        self.envelopes = 0

    def confirmed(self, *, envelopes: int, bundles: int, seconds: float) -> None:
        """One group was stored."""
        self.bundles += bundles
        self.buckets[bisect_left(SECONDS, seconds)] += 1
        self.seconds += seconds
        self.sizes[bisect_left(_SIZES, envelopes)] += 1
        self.envelopes += envelopes


class Doors(Collector):
    """The door's metrics of all sources, as Prometheus reads them; nothing where no door was opened."""

    def __init__(self) -> None:
        self._by_source: dict[str, DoorMetrics] = {}
        self.commits = Commits()
        self.connections = gauge("callstitch_door_connections", None)
        self.unstored = counter("callstitch_door_unstored_total", None)
        for why in _WHYS:
            self.unstored.labels(why)

    def of(self, source: str) -> DoorMetrics:
        """Those of one source."""
        statuses = _NO_SUCH_SOURCE if source == UNKNOWN else _ANSWERS
        return self._by_source.setdefault(source, DoorMetrics(statuses))

    def collect(self) -> Iterator[Metric]:
        """Called by the registry at each look."""
        if not self._by_source:
            return
        requests, accepted = counted("callstitch_requests_total"), counted("callstitch_accepted_total")
        for source, door in self._by_source.items():
            for status, count in door.by_status.items():
                requests.add_metric([source, str(status)], count)
            if source != UNKNOWN:
                accepted.add_metric([source], door.accepted)
        yield requests
        yield accepted
        yield self._seconds()
        yield from self._of_commits()
        yield from self.connections.collect()
        yield from self.unstored.collect()

    def _seconds(self) -> Metric:
        made = _histogram("callstitch_door_seconds")
        for source, door in self._by_source.items():
            made.add_metric([source], _buckets(SECONDS, door.buckets), sum_value=door.seconds)
        return made

    def _of_commits(self) -> Iterator[Metric]:
        commits = self.commits
        bundles = counted("callstitch_door_bundles_total")
        bundles.add_metric([], commits.bundles)
        yield bundles
        seconds = _histogram("callstitch_door_confirm_seconds")
        seconds.add_metric([], _buckets(SECONDS, commits.buckets), sum_value=commits.seconds)
        yield seconds
        sizes = _histogram("callstitch_door_bundle_envelopes")
        sizes.add_metric([], _buckets(_SIZES, commits.sizes), sum_value=commits.envelopes)
        yield sizes


def _histogram(name: str) -> HistogramMetricFamily:
    one = family(name)
    return HistogramMetricFamily(one.name, one.meaning, labels=one.labels)


def _buckets(bounds: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    return list(zip([*map(str, map(float, bounds)), "+Inf"], accumulate(counts), strict=True))
