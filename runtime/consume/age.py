"""How old a batch is: of what waited in its queue, and not by anybody's plan."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from schemas.envelope import Envelope, Kind
from schemas.facts import FactKind
from schemas.topology import UNWANTED_IF_UNBOUND

_TIME: Final = re.compile(rb'"time":"([^"]+)"')
_BEFORE_TIME: Final = 2048  # bytes of an event's attributes, which stand before its data


def oldest_age(firsts: Sequence[Envelope], now: datetime) -> float:
    """Seconds since the oldest of these began to wait: the first envelope of each message, in which it is the oldest.

    What was retried waited by plan, and how a fetch ended bears the time of the order, however long it was tried. An
    event has no time of ours in its envelope: that of the first stands for all.
    """
    waited = [one for one in firsts if one.attempt == 1]
    moments = [one.at for one in waited if one.kind != Kind.EVENT and not _of_a_fetch(one)]
    if not moments and (event := next(filter(_is_timed, waited), None)) is not None:
        moments = _told(event)
    ages = [(now - moment).total_seconds() for moment in moments if moment.tzinfo is not None]
    return max([0.0, *ages])  # the clock of a door may be ahead


def _of_a_fetch(envelope: Envelope) -> bool:
    return isinstance(envelope.body, dict) and envelope.body.get("kind") == FactKind.RECORDING


def _is_timed(envelope: Envelope) -> bool:
    """Whether it is an event with a time of ours: that of progress is the platform's."""
    return envelope.kind == Kind.EVENT and not envelope.route.startswith(UNWANTED_IF_UNBOUND)


def _told(event: Envelope) -> list[datetime]:
    assert isinstance(event.body, bytes)
    found = _TIME.search(event.body, 0, _BEFORE_TIME)
    try:
        return [datetime.fromisoformat(found[1].decode())] if found else []
    except ValueError:
        return []
