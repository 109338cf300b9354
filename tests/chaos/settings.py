"""What a run is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from tests.chaos.troubles import TROUBLES

Stack = Literal["rabbitmq", "embedded"]
Store = Literal["postgresql", "sqlite"]

PROCESS_FAULTS: Final = ("kill", "term")
SERVICE_FAULTS: Final = ("broker", "store", "proxy")
FAULTS: Final = (*PROCESS_FAULTS, *SERVICE_FAULTS, "webhook")
CLUSTER_FAULTS: Final = (*PROCESS_FAULTS, "broker", "store", "webhook")
_STORE_TROUBLES: Final = ("backends_terminated", "tables_locked", "schema_renamed", "grants_revoked")
LONGEST_FREEZE_SECONDS: Final = 60.0
EVERY_FAULT: Final = (*FAULTS, *TROUBLES)


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
    cluster: bool = False  # RabbitMQ: three nodes, of which the one that leads is hit

    def __post_init__(self) -> None:
        """Refuse what no run can be made of."""
        if unknown := self.faults - set(EVERY_FAULT):
            raise ValueError(f"no such fault: {', '.join(sorted(unknown))}; known: {', '.join(EVERY_FAULT)}")
        if self.stack == "embedded" and self.store == "postgresql":
            raise ValueError("the embedded stack keeps its state in SQLite")
        if self.cluster and (self.stack == "embedded" or self.faults & {"proxy", *TROUBLES}):
            raise ValueError(f"a cluster is RabbitMQ, and may be hit by {', '.join(CLUSTER_FAULTS)}")
        if self.seconds <= 0 or self.rate <= 0:
            raise ValueError("seconds and rate must be positive")

    @property
    def longest_freeze(self) -> float:
        """Seconds that a frozen role stands still: a minute in a long run."""
        return min(LONGEST_FREEZE_SECONDS, self.seconds / 10)

    def takes(self, fault: str) -> float:
        """Seconds of the run that a hard fault needs."""
        trouble = TROUBLES[fault]
        takes = trouble.takes_alone if self.stack == "embedded" else trouble.takes
        return takes + (self.longest_freeze if fault == "frozen" else 0.0)

    def wants(self, fault: str) -> bool:
        """Whether this fault is asked for and this stack has what it hits."""
        if self.stack == "embedded" and fault in SERVICE_FAULTS:
            return False  # broker and store are files of the one process
        if fault in ("store", *_STORE_TROUBLES) and self.store == "sqlite":
            return False
        return fault in self.faults and (fault not in TROUBLES or bool(self.ways(fault)))

    def ways(self, fault: str) -> Sequence[str]:
        """What a hard fault may hit on this stack."""
        return TROUBLES[fault].alone if self.stack == "embedded" else TROUBLES[fault].ways
