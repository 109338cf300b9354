"""Rows in, Markdown out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tests.bench.figures import Row, cost_ratio, ratio

_HEAD: Final = (
    "contender",
    "a second (median)",
    "least to greatest",
    "p50 ms",
    "p95 ms",
    "p99 ms",
    "CPU s per 1,000",
    "broker and store CPU s per 1,000",
    "peak MiB",
    "runs that count",
)
INTRODUCTION: Final = """\
# Benchmarks

Made by `make bench` (about 40 minutes on two cores; nothing else should run). A run of some cases, as in
`make bench BENCH='--case ingest --rounds 3'`, or with `--quick`, leaves this page alone: its figures go to
`var/bench/bench.md`, and every single run always to `var/bench/runs.json`. Every contender
is played in turn, several rounds in one run, on one machine and on loopback, so compare within a table, and quote
ratios. A run counts only if what arrived equals what was sent, and every post is a new session or a new step of one.
CPU and memory are those of the contender's processes (memory: of the largest); a thousand are posts, messages,
envelopes or notifications, as the case says. Each peer is written as its documentation says: confirms, persistent
messages, quorum queues, acks after the work. What else its documentation offers was tried alone first, and the best
setting was taken: it stands under the table.
"""


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A ratio of two medians of one case and what it should be at least."""

    case: str
    of: str
    to: str
    least: float


@dataclass(frozen=True, kw_only=True)
class CostGoal:
    """A ratio of two contenders' CPU (theirs, the broker's and the store's) and what it should be at most."""

    case: str
    of: str
    to: str
    most: float


def page(
    found: Sequence[Row],
    goals: Sequence[Goal],
    conditions: Iterable[tuple[str, str]],
    *,
    cost_goals: Sequence[CostGoal] = (),
) -> str:
    """The whole document."""
    parts = [
        INTRODUCTION,
        "| condition | |\n|---|---|\n" + "\n".join(f"| {name} | {what} |" for name, what in conditions),
    ]
    parts += [table(found, case) for case in dict.fromkeys(row.case for row in found)]
    if reached := list(_ratios(found, goals)):
        parts.append(
            "## Ratios of medians\n\n| case | ratio | measured | goal |\n|---|---|---|---|\n" + "\n".join(reached)
        )
    if reached := list(_cost_ratios(found, cost_goals)):
        parts.append(
            "## Ratios of CPU, broker and store included\n\n| case | ratio | measured | at most |\n|---|---|---|---|\n"
            + "\n".join(reached)
        )
    return "\n\n".join(part.strip() for part in parts) + "\n"


def table(found: Sequence[Row], case: str) -> str:
    """The rows of one case, then their settings, and what went wrong."""
    chosen = [row for row in found if row.case == case]
    lines = [f"## {case}\n", _line(_HEAD), "|" + "---|" * len(_HEAD), *(_line(_cells(row)) for row in chosen), ""]
    lines += [f"- {row.contender}: {note}" for row in chosen for note in row.notes]
    lines += [f"- {row.contender}: a run does not count: {why}" for row in chosen for why in row.troubles]
    return "\n".join(lines)


def _cells(row: Row) -> Sequence[str]:
    late = row.latency
    return (
        row.contender,
        _number(row.rate, 0),
        f"{_number(row.least, 0)} to {_number(row.greatest, 0)}",
        *((_number(late.p50, 1), _number(late.p95, 1), _number(late.p99, 1)) if late else ("", "", "")),
        _number(row.cpu_per_thousand, 3),
        _number(row.services_cpu_per_thousand, 3),
        _number(row.peak_mib, 0),
        f"{row.counted} of {row.played}",
    )


def _number(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:,.{digits}f}"


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _ratios(found: Sequence[Row], goals: Sequence[Goal]) -> Iterator[str]:
    for goal in goals:
        measured = ratio(found, case=goal.case, of=goal.of, to=goal.to)
        if not math.isnan(measured):
            yield _line((goal.case, f"{goal.of} / {goal.to}", f"{measured:.2f}", f"{goal.least:.2f}"))


def _cost_ratios(found: Sequence[Row], goals: Sequence[CostGoal]) -> Iterator[str]:
    for goal in goals:
        measured = cost_ratio(found, case=goal.case, of=goal.of, to=goal.to)
        if not math.isnan(measured):
            yield _line((goal.case, f"{goal.of} / {goal.to}", f"{measured:.2f}", f"{goal.most:.2f}"))
