"""`callstitch emulate --check`: the demo's ledger for a Callstitch that runs elsewhere, one container a role."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import fields
from typing import Any, Final

from console.demo.check import latest_records, read_events, read_truth
from console.demo.report import show_ledger, show_sources
from console.demo.settling import SETTLE_SECONDS, Evidence, compared, is_settled
from console.emulator.play import play_all
from console.emulator.settings import EmulatorSettings, Played
from console.screen import out
from schemas.envelope import JsonObject
from schemas.errors import Misconfigured, Unavailable

POLL_SECONDS: Final = 0.5


def play_and_compare(
    parts: Sequence[EmulatorSettings], evidence: Evidence, *, on_progress: Callable[[int, int], None]
) -> tuple[Played, JsonObject]:
    """Play, serve recordings until everything has drained, and compare; what was played, and the ledger.

    Raises:
        Misconfigured, in a group: the truth's file or the port cannot be had.
    """
    began = time.monotonic()
    try:
        settled = asyncio.run(_while_served(play_all(parts, on_progress=on_progress), evidence))
    except* OSError as errors:  # what the door does is counted; this is the truth's file, or the recordings' port
        raise Misconfigured(f"cannot play: {errors.exceptions[0]}") from None
    ledger = compared(evidence, settled=settled) | {"seconds": round(time.monotonic() - began, 1)}
    end = ledger["platform"]
    return Played(**{one.name: end[one.name] for one in fields(Played)}), ledger


async def _while_served(play: Coroutine[Any, Any, Played], evidence: Evidence) -> bool:
    """Whether all of the play, which serves recordings until it is cancelled, came out in time."""
    async with asyncio.TaskGroup() as tasks:
        playing = tasks.create_task(play)
        try:
            return await _is_through(evidence)
        finally:
            playing.cancel()


async def _is_through(evidence: Evidence) -> bool:
    deadline = None  # from the last push on
    while deadline is None or time.monotonic() < deadline:
        if deadline is None and read_truth(evidence.truth).end is not None:
            deadline = time.monotonic() + SETTLE_SECONDS
        try:
            if deadline is not None and await asyncio.to_thread(is_settled, evidence):
                return True
        except Unavailable:  # a part that is away for a moment is asked again; what stays away, `compared` tells
            pass
        await asyncio.sleep(POLL_SECONDS)
    return False


def show(evidence: Evidence, ledger: JsonObject) -> None:
    """What the platforms sent, and the ledger."""
    show_sources(out, latest_records(read_events(evidence.events)), ledger)
    show_ledger(out, ledger)
