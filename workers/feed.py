"""feed queue -> downstream queue: picks what one `[[queue]]` wants, makes its bytes, and has them put there.

A queue that is full holds its own feed and nobody else: the runtime gives back what found no room.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from schemas.envelope import Envelope
from schemas.stage import Fed, Form, Handler, Outcome

Wants = Callable[[Envelope], bool]
Seen = Callable[[Envelope], Envelope]


def _uncounted(_events: int) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A downstream queue: which events it wants, what it sees of them, and in which form."""

    queue: str
    form: Form = "structured"
    wants: Wants | None = None
    seen: Seen | None = None


def feed(target: Target, *, filtered: Callable[[int], None] = _uncounted) -> Handler:
    """The handler that feeds that queue: an event that it does not want ends here, and `filtered` counts it."""

    async def handle(batch: Sequence[Envelope]) -> Outcome:
        if target.wants is None:
            return [_fed(one, target) for one in batch]
        wanted = [_fed(one, target) for one in batch if target.wants(one)]
        if len(wanted) < len(batch):
            filtered(len(batch) - len(wanted))
        return wanted

    return handle


def _fed(event: Envelope, target: Target) -> Fed:
    made = target.seen(event) if target.seen else event
    return Fed(
        id=made.id,
        kind=event.kind,
        source=event.source,
        at=event.at,
        body=made.body,
        trace=event.trace,
        route=event.route,
        of=event,
        queue=target.queue,
        form=target.form,
    )
