"""Rows in, Markdown out."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from tests.bench.figures import Middle, Row
from tests.bench.goals import Goal, multiple

TROUBLE_CHARACTERS: Final = 200
INTRODUCTION: Final = """\
# Benchmarks

Made by `make bench` (about an hour on two cores; nothing else should run). A run of some cases, as in
`make bench BENCH='--case ingest --rounds 3'`, or with `--quick`, leaves this page alone: its figures go to
`var/bench/bench.md`, and every single run always to `var/bench/runs.json`.

How to read it:

- Every contender is played in turn, several rounds in one run, the order reversed every second round, on one machine
  and on loopback. Figures are medians, with the least and the greatest of the rounds in brackets; compare within a
  run, and quote ratios. Differences within the brackets mean nothing.
- A run counts only if what arrived equals what was sent, and every post is a new session or a new step of one.
- CPU is in microseconds for each post, message, envelope or notification, as the case says: of the contender's
  processes, of RabbitMQ, and of PostgreSQL where that is the store (SQLite's is the process's own). "x bare" is what
  the contender and RabbitMQ took, as a multiple of what bare aiohttp took to answer a request in the same run, on the
  same Python. The bench's own, the generator's and the watcher's, is in no other column, but on the same cores.
- Memory is that of the contender's largest process.
- Bare aiohttp runs as our roles do (uvloop, garbage collected rarely, freed memory kept), and the peers in Python on
  the same interpreter.
- A contender named by a commit is the tree of that commit, played by the same bench.
- Each peer is written as its documentation says: confirms, persistent messages, quorum queues, acks after the work.
  What else its documentation offers was tried alone first, and the best setting was taken: it stands under the table.
  FastStream refuses to publish in batches on RabbitMQ (its own words, 0.7.8), so the events of a message are
  published at once and awaited together. The peers in Go are a ceiling: what a compiled language makes of the same.

[scaling.md](scaling.md) says what follows for an installation, and shows where the time goes.
"""


def page(found: Sequence[Row], goals: Iterable[Goal], conditions: Iterable[tuple[str, str]]) -> str:
    """The whole document: goals first."""
    parts = [
        INTRODUCTION,
        "## Goals\n\n" + _table(("goal", "measured", "asked", ""), (_reached(goal, found) for goal in goals)),
        "## Conditions\n\n" + _table(("condition", ""), conditions),
    ]
    parts += [table(found, case) for case in dict.fromkeys(row.case for row in found)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _reached(goal: Goal, found: Sequence[Row]) -> Sequence[str]:
    measured = goal.measured(found)
    asked = f"at {'most' if goal.most else 'least'} {goal.bound:g}"
    if math.isnan(measured):
        return (goal.what, "-", asked, "not measured")
    return (goal.what, f"{measured:.2f}", asked, "met" if goal.met(found) else "**missed**")


def table(found: Sequence[Row], case: str) -> str:
    """The rows of one case, then their settings, and what went wrong; a column that nobody fills is left out."""
    chosen = [row for row in found if row.case == case]
    counted = [row for row in chosen if row.counted]
    columns = {name: [cell(row) for row in counted] for name, cell in _columns(found).items()}
    filled = {name: cells for name, cells in columns.items() if any(cells)}
    rows = zip(*filled.values(), strict=True)
    return "\n".join([f"## {case}\n", _table(tuple(filled), rows), "", *_notes(chosen)])


def _columns(found: Sequence[Row]) -> dict[str, Callable[[Row], str]]:
    return {
        "contender": lambda row: row.contender,
        "a second": lambda row: _middle(row.rate),
        "p50 ms": lambda row: _number(row.latency.p50, 1) if row.latency else "",
        "p95": lambda row: _number(row.latency.p95, 1) if row.latency else "",
        "p99": lambda row: _number(row.latency.p99, 1) if row.latency else "",
        "CPU us": lambda row: _middle(row.cost),
        "its own": lambda row: _number(row.cpu, 0),
        "by process": lambda row: ", ".join(f"{name} {_number(cpu, 0)}" for name, cpu in row.parts.items()),
        "RabbitMQ": lambda row: _number(row.broker, 0) if row.broker >= 1 else "",
        "store": lambda row: _number(row.store, 0) if row.store else "",
        "x bare": lambda row: _number(multiple(found, row), 1) if row.case.startswith("job") else "",
        "generator, watcher": lambda row: (
            f"{_number(row.generator, 0)}, {_number(row.watcher, 0)}" if row.generator else ""
        ),
        "MiB": lambda row: _number(row.peak_mib, 0) if row.peak_mib else "",
    }


def _notes(rows: Sequence[Row]) -> Iterator[str]:
    """What stands under the table; those who share a setting share a line, and what holds for all stands once."""
    by_setting: dict[str, list[str]] = {}
    for row in rows:
        by_setting.setdefault("; ".join([*row.settings, *row.notes]), []).append(row.contender)
    for setting, contenders in by_setting.items():
        if setting:
            yield f"- {'all' if len(contenders) == len(rows) > 1 else '; '.join(contenders)}: {setting}"
    by_trouble: dict[str, list[str]] = {}
    for row in rows:
        if row.counted < row.played:
            why = shortened("; ".join(row.troubles))
            by_trouble.setdefault(f"{row.counted} of {row.played} runs count: {why}", []).append(row.contender)
    for trouble, contenders in by_trouble.items():
        yield f"- {'; '.join(contenders)}: {trouble}"


def shortened(trouble: str) -> str:
    """Of one line, without the frames that a terminal would draw."""
    return " ".join(re.sub(r"[\u2500-\u257f]+", " ", trouble).split())[:TROUBLE_CHARACTERS]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join([_line(head), "|" + "---|" * len(head), *map(_line, rows)])


def _middle(found: Middle) -> str:
    return f"{_number(found.median, 0)} ({_number(found.least, 0)} to {_number(found.greatest, 0)})"


def _number(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:,.{digits}f}"


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
