"""How long it took until work flowed again after each fault."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

PATIENCE_SECONDS: Final = 6.0  # what does not work by then may be hit again before it does


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """One target that is back: `since` is its start, or when its port opened; `flows` tells whether work flows."""

    label: str
    since: float
    flows: Callable[[], bool]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One way of hitting one target: how often, and the seconds until work flowed again, in order."""

    label: str
    hits: int
    seconds: tuple[float, ...]


class Recoveries:
    """All faults of a run; one that the next fault on the same target or the end overtakes stays without a time."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._seconds: defaultdict[str, list[float]] = defaultdict(list)
        self._hits: Counter[str] = Counter()
        self._pending: dict[str, Recovery] = {}  # by target

    @property
    def faults(self) -> int:
        """How many struck."""
        return self._hits.total()

    def hit(self, target: str, label: str) -> None:
        """A fault struck."""
        self._tell(f"{label}: hit")
        self._hits[label] += 1
        self._pending.pop(target, None)

    def is_recovering(self, target: str, now: float) -> bool:
        """Whether it came back a short while ago and does not work yet."""
        recovery = self._pending.get(target)
        return recovery is not None and now - recovery.since < PATIENCE_SECONDS

    def begin(self, target: str, recovery: Recovery) -> None:
        """What was hit is back."""
        self._tell(f"{recovery.label}: back")
        self._pending[target] = recovery

    def tick(self, now: float, *, not_before: float) -> None:
        """Note which of them flow now; a wait for another service before `not_before` is not their own."""
        for target, recovery in tuple(self._pending.items()):
            if recovery.flows():
                seconds = max(0.0, now - max(recovery.since, not_before))
                self._tell(f"{recovery.label}: work flows again after {seconds:.1f} s")
                self._seconds[recovery.label].append(seconds)
                del self._pending[target]

    def rows(self) -> Iterator[Row]:
        """One for each label."""
        for label, hits in sorted(self._hits.items()):
            yield Row(label=label, hits=hits, seconds=tuple(sorted(self._seconds[label])))
