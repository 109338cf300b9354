"""What the door is doing, for /readyz: it begins as one that does not listen yet, and closes at an operator's word."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from runtime.hold.switch import LOOK_SECONDS, Switch
from schemas.errors import Unavailable

_UNDER_WAY_SECONDS: Final = 0.05


def _nothing() -> str:
    return ""


class DoorState:
    """Shared by the door and the admin port, which opens before it."""

    def __init__(self) -> None:
        self.listening = False
        self.leaving = False  # it still answers, and wants no new customers
        self.closed = ""  # by an operator: who, and since when
        self.unstored: Callable[[], str] = _nothing  # why the last push was not stored

    async def begin(self, switch: Switch | None) -> None:
        """As an operator left it.

        Raises:
            Unavailable: the broker does not tell how the switch stands.
        """
        if switch is not None:
            await switch.look()
            self.closed = str(switch.word or "")

    def check(self) -> bool | str:
        """Whether the door is open and can store what comes; else why not."""
        if not self.listening:
            return "not listening"
        if self.leaving:
            return "draining"
        if self.closed:
            return f"closed {self.closed}"
        return self.unstored() or True


async def open_and_close(
    switch: Switch | None, state: DoorState, *, busy: Callable[[], int], last: Callable[[], Awaitable[None]]
) -> None:
    """For ever; a door that closed counts as at work until what is under way is answered, and `last` is done."""
    if switch is None:
        await asyncio.Event().wait()
    while switch is not None:
        if switch.word is not None:
            state.closed = str(switch.word)
            await asyncio.sleep(LOOK_SECONDS)
            with suppress(Unavailable):
                await switch.look()
            continue
        async with switch.at_work() as closed:
            if not closed.is_set():
                state.closed = ""
            await closed.wait()
            state.closed = str(switch.word)
            while busy():  # noqa: ASYNC110 - it is counted at each request, which an event would cost more
                await asyncio.sleep(_UNDER_WAY_SECONDS)
            await last()
