"""What a run is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

Stack = Literal["rabbitmq", "embedded"]
Store = Literal["postgresql", "sqlite"]

PROCESS_FAULTS: Final = ("kill", "term")
SERVICE_FAULTS: Final = ("broker", "store", "proxy")
FAULTS: Final = (*PROCESS_FAULTS, *SERVICE_FAULTS, "webhook")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One run; the same seed and settings give the same traffic and the same schedule of faults."""

    seconds: float  # how long faults come; the last pushes and the drain follow
    seed: int
    rate: float  # notifications a second
    faults: frozenset[str]
    stack: Stack
    store: Store
    sabotage: str | None
    drain_seconds: float  # at most, after the last push
    directory: Path

    def __post_init__(self) -> None:
        """Refuse what no run can be made of."""
        if unknown := self.faults - set(FAULTS):
            raise ValueError(f"no such fault: {', '.join(sorted(unknown))}; known: {', '.join(FAULTS)}")
        if self.stack == "embedded" and self.store == "postgresql":
            raise ValueError("the embedded stack keeps its state in SQLite")
        if self.seconds <= 0 or self.rate <= 0:
            raise ValueError("seconds and rate must be positive")

    def wants(self, fault: str) -> bool:
        """Whether this fault is asked for and this stack has what it hits."""
        if self.stack == "embedded" and fault in SERVICE_FAULTS:
            return False  # broker and store are files of the one process
        if fault == "store" and self.store == "sqlite":
            return False
        return fault in self.faults
