"""From rest to full speed: whoever was away for a while, and has much to catch up with, is not flooded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

FIRST_RATE: Final = 5.0  # messages a second
DOUBLES_SECONDS: Final = 5.0
LAST_RATE: Final = 20_000.0  # after a minute; then there is no limit


class Ramp:
    """How many messages may be taken at once, and how long to wait after them; no limit before `begin`."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._began: float | None = None

    def begin(self, ago: float = 0.0) -> None:
        """Slowly, then twice as fast every five seconds; from now on, or as if so many seconds had passed."""
        self._began = self._now() - ago

    @property
    def limits(self) -> bool:
        """Whether there is a limit now."""
        return self._rate() is not None

    def most(self, most: int) -> int:
        """At most `most`, and what goes in a second."""
        rate = self._rate()
        return most if rate is None else max(1, min(most, int(rate)))

    def pause(self, taken: int) -> float:
        """Seconds until the next may begin after so many began."""
        rate = self._rate()
        return 0.0 if rate is None else taken / rate

    def _rate(self) -> float | None:
        if self._began is None:
            return None
        rate = FIRST_RATE * 2 ** min((self._now() - self._began) / DOUBLES_SECONDS, 64)
        if rate > LAST_RATE:
            self._began = None
            return None
        return float(rate)
