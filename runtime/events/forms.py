"""In which forms events are wanted, as far as is known now: correlate and park ask before they publish, and after.

Nothing falls between the forms while `declare` moves a consumer from one to the other (console/admission/moving.py):
what is known here is LEASE_SECONDS old at most, whoever publishes asks again once all is confirmed, and publishes what
it missed. So an event that went out in the old form alone was confirmed less than a lease after anybody could know of
the new one, and the old form is unbound later than that.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final

from schemas.topology import SINGLY, Forms

LEASE_SECONDS: Final = 1.0

FormsNow = Callable[[], Awaitable[Forms]]


async def singly() -> Forms:
    """For who publishes no events."""
    return SINGLY


def leased(read: FormsNow, *, now: Callable[[], float] = time.monotonic) -> FormsNow:
    """What `read` says, asked again once that is a lease old."""
    known, read_at = SINGLY, float("-inf")

    async def current() -> Forms:
        nonlocal known, read_at
        if now() - read_at >= LEASE_SECONDS:
            asked_at = now()
            known, read_at = await read(), asked_at
        return known

    return current
