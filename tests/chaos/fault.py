"""One fault of a run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault: `at` counts from the first push that was answered 200, `away` is how long what it hit stays away.

    A hard fault (tests/chaos/troubles.py) stays until it was seen, and `away` longer.
    """

    at: float
    kind: str
    how: str
    target: str
    away: float

    @property
    def label(self) -> str:
        """What the report counts it under: `kill -9 correlate`, `broker stop`, `frozen workers`."""
        words = {"kill": "kill -9", "term": "SIGTERM"}
        if self.kind == self.target:
            return f"{self.target} {self.how}".strip()
        return f"{words[self.kind]} {self.target}" if self.kind in words else f"{self.target} {self.how}"
