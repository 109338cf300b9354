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

from tests.bench.builds import SUITES, Build, environment, interpreter, trees
from tests.bench.cases import growth, ingest, job, latency, recovery, relay
from tests.bench.contender import ROOT
from tests.bench.figures import Row, Run, rows
from tests.bench.goals import goals
from tests.bench.machine import conditions, load
from tests.bench.report import page, shortened
from tests.bench.settings import CASES, Settings
from tests.bench.theatre import Theatre

EXIT_NOT_COUNTED: Final = 1
QUICK_SESSIONS: Final = (100, 1000)
QUICK_BACKLOG: Final = 1000
PAGE: Final = ROOT / "docs" / "bench.md"


async def play(theatre: Theatre) -> AsyncIterator[Run]:
    """The cases that are asked for, one after the other."""
    played: list[Run] = []
    for case in theatre.settings.cases:
        runs = {
            "ingest": lambda: ingest.play_all(theatre),
            "relay": lambda: relay.play(theatre),
            "job": lambda: job.play(theatre),
            "latency": lambda: latency.play(theatre, played),
            "growth": lambda: growth.play(theatre),
            "recovery": lambda: recovery.play(theatre),
        }[case]()
        async for run in runs:
            played.append(run)
            yield run


async def _play_all(settings: Settings, command: str) -> Sequence[Row]:
    before, began, runs = load(), time.monotonic(), list[Run]()
    with ExitStack() as cleaning:
        theatre = _theatre(settings, cleaning)
        try:
            async for run in play(theatre):
                runs.append(run)
                print(f"{time.monotonic() - began:6.0f} s  {_told(run)}", flush=True)
        finally:  # what has been played is not lost with what goes wrong
            (settings.directory / "runs.json").write_text(json.dumps([asdict(one) for one in runs], indent=1))
            told = conditions(theatre, command=command, load_before=before) if runs else ()
            text = page(rows(runs), goals(settings), told)
            (settings.directory / "bench.md").write_text(text)
    if settings.whole:
        PAGE.write_text(text)
    print("\n" + text)
    return rows(runs)


def _theatre(settings: Settings, cleaning: ExitStack) -> Theatre:
    """With the trees and the interpreters that are asked for.

    Raises:
        Trouble: one of the trees is not to be had.
        debian.Missing: one of the interpreters is not.
    """
    pythons = [environment(asked, settings.directory) for asked in settings.pythons] or [sys.executable]
    bases = cleaning.enter_context(trees(settings.beside, pythons[0]))
    others = [Build(name=f"Python {interpreter(python).partition(',')[0]}", python=python) for python in pythons[1:]]
    return Theatre(settings=settings, cleaning=cleaning, ours=Build(python=pythons[0]), beside=[*bases, *others])


def _told(run: Run) -> str:
    if run.trouble:
        return f"{run.case}: {run.contender}: does not count: {shortened(run.trouble)}"
    late = f", p99 {run.latency.p99:.1f} ms" if run.latency else ""
    cost = run.each(run.used.cpu + run.used.broker + run.used.store)
    return f"{run.case}: {run.contender}: {run.rate:,.0f}/s, {cost:,.0f} CPU us{late}"


def _settings(arguments: Sequence[str] | None) -> Settings:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="The benchmarks of Callstitch.")
    parser.add_argument("--case", action="append", choices=CASES, help="only this one; may be given again (all)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each contender (3)")
    parser.add_argument("--only", action="append", default=[], help="contenders whose names hold this; again for more")
    parser.add_argument("--quick", action="store_true", help="everything tiny, one round: figures that mean nothing")
    parser.add_argument("--no-tune", action="store_true", help="do not try the peers' other settings first")
    parser.add_argument("--sessions", action="append", type=int, help="growth: a store with so many; again for more")
    parser.add_argument("--backlog", type=int, help="recovery: CDRs that wait (1,000,000)")
    parser.add_argument("--beside", action="append", default=[], help="a commit whose tree is measured too; again")
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        help=f"run ours on this interpreter: a path, or {' or '.join(SUITES)}, Debian's; again: one to stand beside it",
    )
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
        beside=tuple(given.beside),
        pythons=tuple(given.python),
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
