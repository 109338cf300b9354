"""What a run of the benchmarks is asked for, and how much each case plays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

CASES: Final = ("ingest", "relay", "job", "latency", "growth", "recovery")
CONNECTIONS: Final = 64


@dataclass(frozen=True, kw_only=True)
class Settings:
    """`quick` plays everything tiny: it shows that all of it works, and its figures mean nothing."""

    cases: tuple[str, ...] = CASES
    rounds: int = 3
    only: tuple[str, ...] = ()  # contenders whose names hold one of these
    quick: bool = False
    tune: bool = True  # try each peer's settings alone first
    sessions: tuple[int, ...] = (10_000, 100_000, 1_000_000)  # in the store, for the growth case
    backlog: int = 1_000_000  # CDRs that wait, for the recovery case
    beside: tuple[str, ...] = ()  # commits whose trees are measured in the same run
    pythons: tuple[str, ...] = ()  # the first runs all of ours, each further one stands beside it
    directory: Path = Path("var/bench")

    def __post_init__(self) -> None:
        """Refuse what no run can be made of."""
        if unknown := set(self.cases) - set(CASES):
            raise ValueError(f"no such case: {', '.join(sorted(unknown))}; known: {', '.join(CASES)}")
        if self.rounds < 1:
            raise ValueError("rounds must be positive")
        if self.backlog < 1 or not self.sessions or min(self.sessions) < 1:
            raise ValueError("sizes must be positive")

    @property
    def whole(self) -> bool:
        """Whether its figures may stand in the docs."""
        return set(self.cases) == set(CASES) and not self.quick and not self.only

    @property
    def ingest_seconds(self) -> int:
        """How long wrk posts in one run (its own unit is whole seconds)."""
        return 1 if self.quick else 5

    @property
    def relay_seconds(self) -> float:
        """About how long one relay run lasts; how much is relayed follows from the contender's expected rate."""
        return 0.2 if self.quick else 3.0

    @property
    def job_seconds(self) -> float:
        """The same for the whole job."""
        return 0.1 if self.quick else 6.0

    @property
    def latency_seconds(self) -> float:
        """How long posts come at one rate."""
        return 1.0 if self.quick else 6.0

    @property
    def latency_rounds(self) -> int:
        """One less than elsewhere: three shares of each contender take long."""
        return max(1, self.rounds - 1)

    @property
    def growth_seconds(self) -> float:
        """About how long the growth case posts; it is equally much for all."""
        return 0.1 if self.quick else 5.0

    @property
    def growth_rounds(self) -> int:
        """As for latency: there is much to be started and filled."""
        return max(1, self.rounds - 1)

    def wants(self, contender: str) -> bool:
        """Whether this contender is asked for."""
        return not self.only or any(part in contender for part in self.only)
