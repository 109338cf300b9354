"""Runs of the bench, made up."""

from __future__ import annotations

from tests.bench.figures import Latency, Run, Used


def a_run(
    contender: str = "ours",
    *,
    case: str = "ingest",
    count: int = 1000,
    seconds: float = 1.0,
    cpu: float = 0.5,
    trouble: str | None = None,
    setting: str = "",
) -> Run:
    return Run(
        case=case,
        contender=contender,
        count=count,
        seconds=seconds,
        used=Used(cpu=cpu, broker=2 * cpu, generator=0.1, watcher=0.2, peak_mib=50, parts={"one": cpu, "two": 0.0}),
        latency=Latency(p50=1, p95=2, p99=3),
        trouble=trouble,
        setting=setting,
    )
