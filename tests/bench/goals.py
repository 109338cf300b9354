"""What the figures should be: ratios to what stood beside ours in the same run, which outlive a change of machine."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

from tests.bench.cases import growth, ingest, job, jobs, latency, recovery, relay
from tests.bench.figures import Row, find
from tests.bench.settings import Settings

Rows = Sequence[Row]
Measured = Callable[[Rows], float]
# CPU of a notification as a multiple of bare aiohttp's request: one event a message, in batches, fused as well.
FORMS: Final = ((False, False), (True, False), (True, True))  # in batches, fused
MULTIPLES: Final = {"steps": (7.0, 5.0, 4.5), "merged": (7.0, 4.5, 4.0)}
MOST_MIB: Final = 120


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A figure and its bound; NaN is what could not be measured, and is no goal met."""

    what: str
    measured: Measured
    bound: float
    most: bool = False  # it should be at most that; else at least

    def met(self, found: Rows) -> bool:
        """Whether the figure of this run keeps it."""
        figure = self.measured(found)
        return figure <= self.bound if self.most else figure >= self.bound


def goals(settings: Settings) -> Iterator[Goal]:
    """Those of the cases that were played."""
    made = {
        "job": _job,
        "ingest": _ingest,
        "relay": _relay,
        "growth": _growth,
        "recovery": _recovery,
        "latency": _latency,
    }
    for case, of_case in made.items():
        if case in settings.cases:
            yield from of_case(settings)


def _job(settings: Settings) -> Iterator[Goal]:
    for kind, case in job.CASES.items():
        short = case.partition(",")[0]
        for store in jobs.STORES:
            for (batch, fused), bound in zip(FORMS, MULTIPLES[kind], strict=True):
                name = jobs.named(store, batch=batch, fused=fused)
                what = f"{short}: {name}: CPU, ours and RabbitMQ's / bare aiohttp's request"
                yield Goal(what=what, measured=_multiple(case, name), bound=bound, most=True)
        for commit, store, batch in product(settings.beside[:1], jobs.STORES, (False, True)):
            ours, base = jobs.named(store, batch=batch), jobs.named(store, of=commit)
            yield Goal(what=f"{short}: rate, {ours} / {base}", measured=_rates(case, ours, base), bound=1.5)
        sqlite, postgresql = jobs.named("SQLite"), jobs.named("PostgreSQL")
        what = f"{short}: CPU, ours and the store's, PostgreSQL / SQLite"
        yield Goal(what=what, measured=_costs(case, postgresql, sqlite, broker=False), bound=1.25, most=True)
        up = jobs.EMBEDDED.name
        what = f"{short}: CPU, {up} / {sqlite} and RabbitMQ's"
        yield Goal(what=what, measured=_costs(case, up, sqlite), bound=1.3, most=True)
    for store in jobs.STORES:
        ours, peer = jobs.named(store), jobs.FASTSTREAM[0].name
        what = f"job (i): rate, {ours} / {peer}"
        yield Goal(what=what, measured=_rates(job.CASES["steps"], ours, peer), bound=10)


def _ingest(_: Settings) -> Iterator[Goal]:
    bare, ours = ingest.SERVER.name, jobs.NAME
    yield Goal(what="ingest: CPU, bare aiohttp's / ours", measured=_ratio(ingest.CASE, _cpu, bare, ours), bound=0.85)
    yield Goal(what="ingest: rate, ours / mq-bridge", measured=_rates(ingest.CASE, ours, "mq-bridge"), bound=1)


def _relay(_: Settings) -> Iterator[Goal]:
    ours = "Callstitch, broker only"
    yield Goal(what=f"relay: rate, {ours} / mq-bridge", measured=_rates(relay.CASE, ours, "mq-bridge"), bound=1)


def _growth(settings: Settings) -> Iterator[Goal]:
    case, fewest, most = growth.CASES["sessions"], min(settings.sessions), max(settings.sessions)
    for store in growth.STORES:
        of, to = growth.holding(store, most), growth.holding(store, fewest)
        yield Goal(what=f"growth: CPU, {of} / {fewest:,}", measured=_costs(case, of, to), bound=1.1, most=True)


def _recovery(settings: Settings) -> Iterator[Goal]:
    for store in jobs.STORES:
        name = recovery.waiting(store, settings.backlog)
        what = f"recovery: {name}: MiB of the largest process"
        yield Goal(what=what, measured=_figure(recovery.CASE, name, _peak), bound=MOST_MIB, most=True)


def _latency(settings: Settings) -> Iterator[Goal]:
    low = latency.case(latency.LOW)
    for share, bound in ((latency.HALF, 100), (latency.LOW, 40)):
        for store in jobs.STORES:
            case, name = latency.case(share), jobs.named(store)
            yield Goal(what=f"{case}: {name}: p99 ms", measured=_figure(case, name, _p99), bound=bound, most=True)
    for commit in settings.beside[-1:]:
        for store in jobs.STORES:
            ours, base = jobs.named(store), jobs.named(store, of=commit)
            yield Goal(what=f"{low}: CPU, {ours} / {base}", measured=_costs(low, ours, base), bound=0.5, most=True)


def multiple(found: Rows, row: Row) -> float:
    """CPU of one, its own and RabbitMQ's, as a multiple of what bare aiohttp took to answer a request on its Python."""
    build = row.contender.partition(",")[0]
    own = find(found, ingest.CASE, f"{ingest.SERVER.name}, {build}")
    bare = own or find(found, ingest.CASE, ingest.SERVER.name)
    return (row.cpu + row.broker) / bare.cpu if bare else math.nan


def _multiple(case: str, name: str) -> Measured:
    def measured(found: Rows) -> float:
        row = find(found, case, name)
        return multiple(found, row) if row else math.nan

    return measured


def _rates(case: str, of: str, to: str) -> Measured:
    return _ratio(case, lambda row: row.rate.median, of, to)


def _costs(case: str, of: str, to: str, *, broker: bool = True) -> Measured:
    return _ratio(case, lambda row: row.cpu + row.store + broker * row.broker, of, to)


def _cpu(row: Row) -> float:
    return row.cpu


def _peak(row: Row) -> float:
    return row.peak_mib


def _p99(row: Row) -> float:
    return row.latency.p99 if row.latency else math.nan


def _ratio(case: str, figure: Callable[[Row], float], of: str, to: str) -> Measured:
    return lambda found: _figure(case, of, figure)(found) / _figure(case, to, figure)(found)


def _figure(case: str, name: str, figure: Callable[[Row], float]) -> Measured:
    def measured(found: Rows) -> float:
        row = find(found, case, name)
        return figure(row) if row else math.nan

    return measured
