"""What the door is doing, for /readyz: it begins as one that does not listen yet."""

from __future__ import annotations

from collections.abc import Callable


def _nothing() -> str:
    return ""


class DoorState:
    """Shared by the door and the admin port, which opens before it."""

    def __init__(self) -> None:
        self.listening = False
        self.leaving = False  # it still answers, and wants no new customers
        self.unstored: Callable[[], str] = _nothing  # why the last push was not stored

    def check(self) -> bool | str:
        """Whether the door is open and can store what comes; else why not."""
        if not self.listening:
            return "not listening"
        if self.leaving:
            return "draining"
        return self.unstored() or True
