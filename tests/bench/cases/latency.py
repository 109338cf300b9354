"""Case d: from a call's last post to its call.completed downstream, at shares of the rate that the contender sustains.

The calls are whole with that post, so nobody waits for stragglers (`settle`). Posts come due by the clock.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.bench.cases import job
from tests.bench.figures import Run, rows
from tests.bench.playing import guarded
from tests.bench.theatre import Theatre

CASE: Final = "latency"
SHARES: Final = (0.1, 0.5, 0.8)
CONTENDERS: Final = (job.SQLITE, job.POSTGRESQL, job.FASTSTREAM[0])


@dataclass(kw_only=True)
class Maxima:
    """The rate of case c (i) by contender; what was not played is found out first."""

    runs: Sequence[Run] = field(default_factory=list)

    async def of(self, theatre: Theatre, contender: job.Contender) -> float:
        """Notifications a second; 0 when it cannot do the job at all."""
        for row in rows(self.runs):
            if row.case == job.CASES["steps"] and row.contender == contender.name and row.counted:
                return row.rate
        playing = job.play_one(theatre, contender, kind="steps", seconds=theatre.settings.job_seconds)
        run = await guarded(CASE, contender.name, playing)
        return 0.0 if run.trouble else run.rate


async def play(theatre: Theatre, maxima: Maxima | None = None) -> AsyncIterator[Run]:
    """Each contender at each share of its own maximum, in turn."""
    chosen = [contender for contender in CONTENDERS if theatre.settings.wants(contender.name)]
    found = maxima or Maxima()
    rates = {contender.name: await found.of(theatre, contender) for contender in chosen}
    for _ in range(theatre.settings.latency_rounds):
        for share in SHARES:
            for contender in chosen:
                rate = rates[contender.name] * share
                if not rate:
                    continue
                case = f"{CASE} at {share:.0%} of the maximum"
                playing = job.play_one(
                    theatre, contender, kind="steps", seconds=theatre.settings.latency_seconds, rate=rate, case=case
                )
                yield await guarded(case, contender.name, playing)
