"""The breaker of a sink: whether its far end fails at everything, and when it is tried again."""

from __future__ import annotations

import random


class Breaker:
    """Open after so many failures of the far end `in_a_row` (0: never); then one event at a time probes it.

    The pauses before the probes double from `first` to `longest`, the upper half of each jitter.
    """

    def __init__(self, *, in_a_row: int, first: float, longest: float) -> None:
        self._most = in_a_row
        self._first = first
        self._longest = longest
        self._failed = 0
        self._ceiling = first
        self.open = False

    def begin(self) -> None:
        """A batch comes: of one that was open a single failure more opens it again."""
        if self.open:
            self.open, self._failed = False, self._most - 1

    def failed(self) -> None:
        """The far end did not answer, or said that it cannot work."""
        self._failed += 1
        self.open = self.open or 0 < self._most <= self._failed

    def worked(self) -> None:
        """It lives, whatever it said of one event."""
        self._failed = 0
        if not self.open:  # what was under way while it opened closes nothing: a probe does
            self._ceiling = self._first

    def pause(self) -> float:
        """Seconds until the next probe."""
        seconds = random.uniform(self._ceiling / 2, self._ceiling)  # noqa: S311 - jitter, not a secret
        self._ceiling = min(self._ceiling * 2, self._longest)
        return seconds
