"""Crash points: named places at which a test lets the process die as a power cut would (exit 137, nothing flushed).

`CALLSTITCH_CRASH_AT=STAGE.POINT` dies the first time, `STAGE.POINT:N` the Nth time (from 1), and `STAGE.POINT=TEXT`
each time a batch holds an envelope with that text in it (poison). What a tick brings is a batch too, from
`after_handle` to `after_mark`. Without the variable nothing here does anything.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from schemas.envelope import Envelope, encode_envelope
from schemas.errors import Misconfigured

VARIABLE: Final = "CALLSTITCH_CRASH_AT"
EXIT_CODE: Final = 137
POINTS: Final = (
    "before_handle",  # delivered, nothing done yet
    "after_handle",  # the store has committed, nothing is published
    "after_publish",  # confirmed, not marked as sent
    "after_mark",  # marked, not acked
    "after_ack",  # the ack is written, perhaps not received
)

_COUNT: Final = re.compile("([1-9][0-9]*)?")

CrashPoint = Callable[[str, Sequence[Envelope]], None]


def never(_: str, __: Sequence[Envelope]) -> None:
    """The crash point of production: it does nothing."""


def crash_points(stage: str, environ: Mapping[str, str] = os.environ) -> CrashPoint:
    """What the environment asks for in this stage; `never` when it asks for nothing.

    Raises:
        Misconfigured: the variable names no point.
    """
    wanted = environ.get(VARIABLE, "")
    if not wanted:
        return never
    where, _, text = wanted.partition("=")
    where, _, count = where.partition(":")
    name, _, point = where.rpartition(".")
    if point not in POINTS or not _COUNT.fullmatch(count) or (count and text):
        raise Misconfigured(f"{VARIABLE} is STAGE.POINT, STAGE.POINT:N or STAGE.POINT=TEXT; {', '.join(POINTS)}")
    if name != stage:
        return never
    return _on_text(point, text.encode()) if text else _nth_time(point, int(count or 1))


def _nth_time(point: str, n: int) -> CrashPoint:
    left = n

    def reach(reached: str, _: Sequence[Envelope]) -> None:
        nonlocal left
        left -= reached == point
        if left <= 0:
            os._exit(EXIT_CODE)

    return reach


def _on_text(point: str, text: bytes) -> CrashPoint:
    def reach(reached: str, envelopes: Sequence[Envelope]) -> None:
        if reached == point and any(text in encode_envelope(envelope) for envelope in envelopes):
            os._exit(EXIT_CODE)

    return reach
