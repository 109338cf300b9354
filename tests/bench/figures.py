"""The arithmetic of the benchmarks: runs in, rows out. Nothing here measures anything."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

THOUSAND: Final = 1000


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Milliseconds of one run, by the nearest rank."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, kw_only=True)
class Run:
    """One contender, once. `count` is what the rate counts (the case says what), within `seconds`.

    CPU seconds and memory are those of the contender's processes; `services_cpu` is the broker's and the store's.
    `trouble` says why the run does not count; None: it does.
    """

    case: str
    contender: str
    count: int
    seconds: float
    cpu: float
    services_cpu: float
    peak_mib: float  # of its largest process
    latency: Latency | None = None
    trouble: str | None = None
    note: str = ""

    @property
    def rate(self) -> float:
        """Per second."""
        return self.count / self.seconds if self.count else 0.0

    @property
    def cpu_per_thousand(self) -> float:
        """CPU seconds of the contender's processes for a thousand."""
        return THOUSAND * self.cpu / self.count if self.count else math.nan

    @property
    def services_cpu_per_thousand(self) -> float:
        """CPU seconds of broker and store for a thousand."""
        return THOUSAND * self.services_cpu / self.count if self.count else math.nan


@dataclass(frozen=True, kw_only=True)
class Row:
    """What the counted runs of one contender in one case come to: medians; least and greatest rate; greatest memory."""

    case: str
    contender: str
    rate: float
    least: float
    greatest: float
    cpu_per_thousand: float
    services_cpu_per_thousand: float
    peak_mib: float
    latency: Latency | None
    counted: int
    played: int
    troubles: Sequence[str]
    notes: Sequence[str]

    @property
    def spread(self) -> float:
        """Greatest minus least rate, as a share of the median."""
        return (self.greatest - self.least) / self.rate if self.rate else math.nan


def rows(runs: Iterable[Run]) -> list[Row]:
    """One row for each case and contender, in the order in which they first came."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.case, run.contender), []).append(run)
    return [_row(group) for group in groups.values()]


def ratio(found: Iterable[Row], *, case: str, of: str, to: str) -> float:
    """The median rate of one contender as a multiple of another's in the same case; NaN when one has no counted run."""
    rates = {row.contender: row.rate for row in found if row.case == case}
    return rates.get(of, math.nan) / (rates.get(to) or math.nan)


def cost_ratio(found: Iterable[Row], *, case: str, of: str, to: str) -> float:
    """The same for CPU, with the broker's and the store's; NaN when one has no counted run."""
    costs = {row.contender: row.cpu_per_thousand + row.services_cpu_per_thousand for row in found if row.case == case}
    return costs.get(of, math.nan) / (costs.get(to) or math.nan)


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

    def middle(value: Callable[[Run], float]) -> float:
        return median(value(run) for run in counted) if counted else math.nan

    return Row(
        case=runs[0].case,
        contender=runs[0].contender,
        rate=middle(lambda run: run.rate),
        least=min((run.rate for run in counted), default=math.nan),
        greatest=max((run.rate for run in counted), default=math.nan),
        cpu_per_thousand=middle(lambda run: run.cpu_per_thousand),
        services_cpu_per_thousand=middle(lambda run: run.services_cpu_per_thousand),
        peak_mib=max((run.peak_mib for run in counted), default=math.nan),
        latency=_middle_latency([run.latency for run in counted if run.latency is not None]),
        counted=len(counted),
        played=len(runs),
        troubles=[run.trouble for run in runs if run.trouble is not None],
        notes=list(dict.fromkeys(run.note for run in runs if run.note)),
    )


def _middle_latency(found: Sequence[Latency]) -> Latency | None:
    if not found:
        return None
    return Latency(
        p50=median(one.p50 for one in found), p95=median(one.p95 for one in found), p99=median(one.p99 for one in found)
    )
