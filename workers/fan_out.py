"""sink queue -> sink: drains one sink's queue into that sink; a slow or broken sink stops only itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from schemas.envelope import Envelope
from schemas.errors import Away, Unavailable
from schemas.stage import Failed, Handler, Outcome

log = structlog.get_logger()


class Sink(Protocol):
    """A downstream system, opened and closed as an async context by wiring.

    It is handed envelopes of kind EVENT: the body is the event's bytes, the id its CloudEvents id.
    """

    async def write(self, batch: Sequence[Envelope]) -> Sequence[Exception | None]:
        """One result per event, in order: None when it is safely there, else why it is not.

        Away: it may not have been tried, as the far end fails at everything; it comes again, alone, as a probe.

        An event may come again, with the same id and the same bytes.

        Raises:
            Unavailable: the sink takes nothing now; the whole batch will come again.
        """
        ...


Wants = Callable[[Envelope], bool]
Seen = Callable[[Envelope], Envelope]
Count = Callable[[int, int], None]
Log = Callable[[Sequence[Envelope], Sequence[Exception | None]], None]


def _uncounted(_delivered: int, _failed: int) -> None:
    """Nobody wants to know."""


def _unheard(_filtered: int) -> None:
    """Nobody wants to know that either."""


def _unkept(_batch: Sequence[Envelope], _results: Sequence[Exception | None]) -> None:
    """Nobody asks later."""


def fan_out(
    sink: Sink,
    *,
    name: str,
    tell: Callable[[str], None] = lambda _: None,
    count: Count = _uncounted,
    keep: Log = _unkept,
    wants: Wants | None = None,
    seen: Seen | None = None,
    filtered: Callable[[int], None] = _unheard,
) -> Handler:
    """The handler of the sink of that name: nothing for a written event, Failed for one that was refused.

    `tell` hears in a few words how each batch ended, `count` how many of it were written, and how many refused, `keep`
    how each event ended. One that it does not want ends here, and `filtered` counts it. `seen` makes what is written of
    an event; all else, retries and dead letters too, is of the event itself.
    """

    async def handle(batch: Sequence[Envelope]) -> Outcome:
        if wants is not None:
            before, batch = len(batch), [one for one in batch if wants(one)]
            if len(batch) < before:
                filtered(before - len(batch))
            if not batch:
                return []
        try:
            results = await sink.write([seen(one) for one in batch] if seen else batch)
        except Unavailable as error:
            tell(str(error))
            raise
        keep(batch, results)
        failed = [Failed(envelope, error) for envelope, error in zip(batch, results, strict=True) if error is not None]
        refused = [one for one in failed if not isinstance(one.error, Away)]
        count(len(batch) - len(failed), len(refused))
        tell(", ".join(sorted({str(one.error) for one in failed})) or "written")
        if refused:
            reasons = sorted({str(one.error) for one in refused})
            log.warning("sink.refused", sink=name, events=len(batch), failed=len(refused), reasons=reasons)
        return failed

    return handle
