"""The arithmetic of the benchmarks: runs in, rows out. Nothing here measures anything."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

MILLION: Final = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Milliseconds of one run, by the nearest rank."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, kw_only=True)
class Used:
    """CPU seconds of one run by who took them: `cpu` the contender's processes, `parts` each of them by its name.

    `generator` and `watcher` are the bench's own, told apart and in no contender's figure.
    """

    cpu: float = 0.0
    broker: float = 0.0
    store: float = 0.0
    generator: float = 0.0
    watcher: float = 0.0
    parts: Mapping[str, float] = field(default_factory=dict)
    peak_mib: float = 0.0  # of its largest process


@dataclass(frozen=True, kw_only=True)
class Run:
    """One contender, once. `count` is what the rate counts (the case says what), within `seconds`.

    `trouble` says why the run does not count; None: it does.
    """

    case: str
    contender: str
    count: int
    seconds: float
    used: Used = Used()
    latency: Latency | None = None
    trouble: str | None = None
    setting: str = ""
    note: str = ""

    @property
    def rate(self) -> float:
        """Per second."""
        return self.count / self.seconds if self.count else 0.0

    @property
    def played(self) -> bool:
        """Whether it came to a figure at all; one that could not be played is not tried again."""
        return self.count > 0

    def each(self, seconds: float) -> float:
        """These CPU seconds as microseconds for each that the rate counts."""
        return MILLION * seconds / self.count if self.count else math.nan


@dataclass(frozen=True, kw_only=True)
class Middle:
    """The median of some runs, and how far they lie apart."""

    median: float
    least: float
    greatest: float


@dataclass(frozen=True, kw_only=True)
class Row:
    """What the counted runs of one contender in one case come to. CPU in microseconds for each that the rate counts."""

    case: str
    contender: str
    rate: Middle
    cost: Middle  # the contender's, the broker's and the store's
    cpu: float
    broker: float
    store: float
    generator: float
    watcher: float
    parts: Mapping[str, float]
    peak_mib: float  # the greatest
    latency: Latency | None
    counted: int
    played: int
    troubles: Sequence[str]
    settings: Sequence[str]
    notes: Sequence[str]


def rows(runs: Iterable[Run]) -> list[Row]:
    """One row for each case and contender, in the order in which they first came."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.case, run.contender), []).append(run)
    return [_row(group) for group in groups.values()]


def find(found: Iterable[Row], case: str, contender: str) -> Row | None:
    """The row of this contender in this case, if it has a run that counts."""
    return next((row for row in found if (row.case, row.contender) == (case, contender) and row.counted), None)


def latency(milliseconds: Collection[float]) -> Latency | None:
    """The percentiles of these, None when there are none."""
    if not milliseconds:
        return None
    ordered = sorted(milliseconds)
    return Latency(p50=_rank(ordered, 50), p95=_rank(ordered, 95), p99=_rank(ordered, 99))


def difference(*, sent: Collection[str], arrived: Collection[str], unsure: int = 0) -> str | None:
    """Why a run does not count: what was sent must have arrived, and nothing else; None when that is so.

    `unsure` posts were under way when the generator stopped: so many more than it knows of may have arrived.
    """
    wanted, found = set(sent), set(arrived)
    if len(wanted) < len(sent):
        return f"{len(sent) - len(wanted)} of {len(sent)} sent were duplicates"
    if lost := wanted - found:
        return f"{len(lost)} of {len(wanted)} sent never arrived"
    if len(extra := found - wanted) > unsure:
        return f"{len(extra)} arrived that were never sent"
    return None


def counts_differ(*, wanted: int, found: int, unsure: int = 0) -> str | None:
    """As `difference`, for things that are counted only: distinct ones, so that copies make up for nothing."""
    if found < wanted:
        return f"{wanted - found} of {wanted} never arrived"
    if found > wanted + unsure:
        return f"{found - wanted} more than the {wanted} that were sent"
    return None


def _rank(ordered: Sequence[float], percent: int) -> float:
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def _row(runs: Sequence[Run]) -> Row:
    counted = [run for run in runs if run.trouble is None]

    def middle(value: Callable[[Run], float]) -> Middle:
        found = [value(run) for run in counted] or [math.nan]
        return Middle(median=median(found), least=min(found), greatest=max(found))

    def each(seconds: Callable[[Used], float]) -> Middle:
        return middle(lambda run: run.each(seconds(run.used)))

    return Row(
        case=runs[0].case,
        contender=runs[0].contender,
        rate=middle(lambda run: run.rate),
        cost=each(lambda used: used.cpu + used.broker + used.store),
        cpu=each(lambda used: used.cpu).median,
        broker=each(lambda used: used.broker).median,
        store=each(lambda used: used.store).median,
        generator=each(lambda used: used.generator).median,
        watcher=each(lambda used: used.watcher).median,
        parts={name: each(_part(name)).median for name in _names(counted)},
        peak_mib=max((run.used.peak_mib for run in counted), default=math.nan),
        latency=_middle_latency([run.latency for run in counted if run.latency is not None]),
        counted=len(counted),
        played=len(runs),
        troubles=list(dict.fromkeys(run.trouble for run in runs if run.trouble is not None)),
        settings=list(dict.fromkeys(run.setting for run in runs if run.setting)),
        notes=list(dict.fromkeys(run.note for run in runs if run.note)),
    )


def _names(runs: Iterable[Run]) -> Iterable[str]:
    return dict.fromkeys(name for run in runs for name in run.used.parts)


def _part(name: str) -> Callable[[Used], float]:
    return lambda used: used.parts.get(name, 0.0)


def _middle_latency(found: Sequence[Latency]) -> Latency | None:
    if not found:
        return None
    return Latency(
        p50=median(one.p50 for one in found), p95=median(one.p95 for one in found), p99=median(one.p99 for one in found)
    )
