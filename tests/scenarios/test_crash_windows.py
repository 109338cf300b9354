"""Every crash window: a real process dies in it while it works, starts again, and nothing is lost or told twice over.

The windows of one stage follow each other on one state. A crash point is bound to the recorded call of its round, so
the process that recovers from one window runs as in production until the next round brings the next call.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import pytest

from runtime.crash import EXIT_CODE, POINTS, VARIABLE
from tests.e2e.programs import end
from tests.e2e.running import Up, prepared_up
from tests.scenarios.aftermath import Aftermath
from tests.scenarios.stacks import Stack
from tests.scenarios.traffic import Platform, Post, Round, rounds

STAGES: Final = ("dedupe", "correlate", "fetch_recording", "fan_out.file")
DEATH_SECONDS: Final = 60.0
BALANCED_SECONDS: Final = 120.0  # an outbox row whose sender died is sent again when its lease of 5 s is over
# Published or written, but not yet known to be: the same bytes go out once more (docs/notes/effectively-once.md section
# 3).
DELIVERED_AGAIN: Final = frozenset(
    {
        "correlate.after_publish",
        "fan_out.file.after_handle",
        "fan_out.file.after_publish",
        "fan_out.file.after_mark",
    }
)


@pytest.mark.parametrize("stage", STAGES)
def test_a_process_that_dies_in_any_window_loses_nothing_and_lies_about_nothing(
    stage: str,
    stack: Stack,
    tmp_path: Path,
    recordings_served: Callable[[Up], AbstractContextManager[None]],
) -> None:
    up = prepared_up(tmp_path, broker=stack.broker, store=stack.store, settle="300ms")
    platform = Platform(up)
    windows = dict(zip([f"{stage}.{point}" for point in POINTS], rounds(len(POINTS)), strict=True))
    unanswered: list[Post] = []
    try:
        with recordings_served(up):
            for window, traffic in windows.items():
                unanswered = killed_in(window, up, platform, traffic, unanswered)
            started(up, crash_at="")
            assert platform.push(unanswered) == []
            aftermath = Aftermath(up=up, store=stack.store, rounds=[*windows.values()], platform=platform)
            aftermath.wait_until_balanced(BALANCED_SECONDS)
    finally:
        end(up)
    again = {window for window, traffic in windows.items() if max(aftermath.deliveries(traffic).values()) > 1}
    assert again >= DELIVERED_AGAIN & windows.keys(), "the window was not where its name says"


def killed_in(window: str, up: Up, platform: Platform, traffic: Round, unanswered: list[Post]) -> list[Post]:
    """Start, push a round and die in that window; returns what was not answered, to be pushed again."""
    started(up, crash_at=f"{window}={traffic.marker}")
    assert platform.push([*unanswered, *traffic.first()]) == [], f"{window}: died before its time; {up.tail()}"
    up.wait_for(lambda: traffic.is_first_told(up))
    left = platform.push(traffic.second())
    assert up.wait(DEATH_SECONDS) == EXIT_CODE, window
    return left


def started(up: Up, *, crash_at: str) -> None:
    """Start it, ready for traffic."""
    up.environ = {**up.environ, VARIABLE: crash_at}
    up.start()
