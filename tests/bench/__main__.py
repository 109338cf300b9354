"""`python -m tests.bench`: exit code 0 when every contender had a run that counts, 1 when one had none."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Final

import structlog
import uvloop

from tests.bench.cases import growth, ingest, job, latency, recovery, relay
from tests.bench.contender import ROOT
from tests.bench.figures import Row, Run, rows
from tests.bench.machine import conditions, load
from tests.bench.report import Goal, page
from tests.bench.settings import CASES, Settings
from tests.bench.theatre import Theatre

EXIT_NOT_COUNTED: Final = 1
QUICK_SESSIONS: Final = (100, 1000)
QUICK_BACKLOG: Final = 1000
PAGE: Final = ROOT / "docs" / "bench.md"
_INGEST = {"case": ingest.CASE, "of": "Callstitch"}
_RELAY = {"case": relay.CASE, "of": "Callstitch, bundles of 1"}
_STEPS = {"case": job.CASES["steps"], "to": job.FASTSTREAM[0].name}
GOALS: Final = (
    Goal(**_INGEST, to="bare aiohttp, server", least=0.8),
    Goal(**_INGEST, to="aiohttp + aio-pika", least=4),
    Goal(**_INGEST, to="FastAPI + FastStream", least=4),
    Goal(**_INGEST, to="mq-bridge", least=1),
    Goal(**_RELAY, to="aio-pika", least=3),
    Goal(**_RELAY, to="mq-bridge", least=1),
    Goal(case=relay.CASE, of="Callstitch, broker only", to="aio-pika", least=3),
    Goal(case=relay.CASE, of="Callstitch, one event a message", to="aio-pika", least=3),
    Goal(**_STEPS, of=job.SQLITE.name, least=8),
    Goal(**_STEPS, of=job.POSTGRESQL.name, least=8),
)


async def play(theatre: Theatre) -> AsyncIterator[Run]:
    """The cases that are asked for, one after the other."""
    played: list[Run] = []
    for case in theatre.settings.cases:
        runs = {
            "ingest": lambda: ingest.play(theatre),
            "relay": lambda: relay.play(theatre),
            "job": lambda: job.play(theatre),
            "latency": lambda: latency.play(theatre, latency.Maxima(runs=played)),
            "growth": lambda: growth.play(theatre),
            "recovery": lambda: recovery.play(theatre),
        }[case]()
        async for run in runs:
            played.append(run)
            yield run


async def _play_all(settings: Settings, command: str) -> Sequence[Row]:
    before, began, runs = load(), time.monotonic(), list[Run]()
    with ExitStack() as cleaning:
        theatre = Theatre(settings=settings, cleaning=cleaning)
        async for run in play(theatre):
            runs.append(run)
            print(f"{time.monotonic() - began:6.0f} s  {_told(run)}", flush=True)
        found = rows(runs)
        told = conditions(theatre, command=command, load_before=before)
        text = page(found, GOALS, told, cost_goals=growth.goals(settings))
    _write(settings, runs, text)
    return found


def _told(run: Run) -> str:
    if run.trouble:
        return f"{run.case}: {run.contender}: does not count: {run.trouble}"
    late = f", p99 {run.latency.p99:.1f} ms" if run.latency else ""
    return f"{run.case}: {run.contender}: {run.rate:,.0f}/s, {run.cpu_per_thousand:.3f} CPU s per 1,000{late}"


def _write(settings: Settings, runs: Sequence[Run], text: str) -> None:
    (settings.directory / "runs.json").write_text(json.dumps([asdict(run) for run in runs], indent=1))
    (settings.directory / "bench.md").write_text(text)
    if settings.whole:
        PAGE.write_text(text)
    print("\n" + text)


def _settings(arguments: Sequence[str] | None) -> Settings:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="The benchmarks of Callstitch.")
    parser.add_argument("--case", action="append", choices=CASES, help="only this one; may be given again (all)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each contender (3)")
    parser.add_argument("--only", action="append", default=[], help="contenders whose names hold this; again for more")
    parser.add_argument("--quick", action="store_true", help="everything tiny, one round: figures that mean nothing")
    parser.add_argument("--no-tune", action="store_true", help="do not try the peers' other settings first")
    parser.add_argument("--sessions", action="append", type=int, help="growth: a store with so many; again for more")
    parser.add_argument("--backlog", type=int, help="recovery: CDRs that wait (100,000)")
    parser.add_argument("--directory", type=Path, default=Path("var/bench"), help="of logs and results (var/bench)")
    given = parser.parse_args(arguments)
    directory = given.directory.resolve()
    (directory / "runs").mkdir(parents=True, exist_ok=True)
    sessions, backlog = (QUICK_SESSIONS, QUICK_BACKLOG) if given.quick else (Settings.sessions, Settings.backlog)
    return Settings(
        cases=tuple(given.case or CASES),
        rounds=1 if given.quick else given.rounds,
        only=tuple(given.only),
        quick=given.quick,
        tune=not given.no_tune,
        sessions=tuple(given.sessions or sessions),
        backlog=given.backlog or backlog,
        directory=directory,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Play, print, write."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_NOT_COUNTED))  # so that everything that runs is ended too
    said = " ".join(sys.argv[1:] if arguments is None else arguments)
    found = uvloop.run(_play_all(_settings(arguments), f"make bench BENCH='{said}'" if said else "make bench"))
    return EXIT_NOT_COUNTED if any(not row.counted for row in found) else 0


if __name__ == "__main__":
    sys.exit(main())
