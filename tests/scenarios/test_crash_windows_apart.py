"""Every crash window of dedupe and correlate as roles of their own; `up` has both composed (test_crash_windows.py).

The other roles live on, so each push is answered and what one of them passes on meanwhile waits on the broker.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from runtime.crash import EXIT_CODE, POINTS, VARIABLE
from tests.e2e.programs import Role
from tests.e2e.roles import running_roles
from tests.e2e.running import Up
from tests.scenarios.aftermath import Aftermath
from tests.scenarios.stacks import Stack
from tests.scenarios.test_crash_windows import BALANCED_SECONDS, DEATH_SECONDS, DELIVERED_AGAIN
from tests.scenarios.traffic import Platform, Round, rounds

pytestmark = pytest.mark.rabbitmq


@pytest.mark.parametrize("stage", ["dedupe", "correlate"])
@pytest.mark.parametrize("stack_kind", [("rabbitmq", "sqlite"), ("rabbitmq", "postgresql")], ids="+".join)
def test_a_role_that_dies_in_any_window_loses_nothing_and_lies_about_nothing(
    stage: str,
    stack: Stack,
    tmp_path: Path,
    recordings_served: Callable[[Up], AbstractContextManager[None]],
) -> None:
    windows = dict(zip([f"{stage}.{point}" for point in POINTS], rounds(len(POINTS)), strict=True))
    with (
        running_roles(tmp_path, stack.broker, store=stack.store, settle="300ms") as (door, roles),
        recordings_served(door),
    ):
        platform, role = Platform(door), roles[stage]
        assert role.terminate() == 0
        for window, traffic in windows.items():
            killed_in(window, role, door, platform, traffic)
        started(role, crash_at="")
        aftermath = Aftermath(up=door, store=stack.store, rounds=[*windows.values()], platform=platform)
        aftermath.wait_until_balanced(BALANCED_SECONDS)
        again = {window for window, traffic in windows.items() if max(aftermath.deliveries(traffic).values()) > 1}
    assert again >= DELIVERED_AGAIN & windows.keys(), "the window was not where its name says"


def killed_in(window: str, role: Role, door: Up, platform: Platform, traffic: Round) -> None:
    """Start the role, push a round and let it die in that window."""
    started(role, crash_at=f"{window}={traffic.marker}")
    assert platform.push(traffic.first()) == [], f"{window}: {door.tail()}"
    door.wait_for(lambda: traffic.is_first_told(door))
    assert platform.push(traffic.second()) == [], f"{window}: {door.tail()}"
    assert role.wait(DEATH_SECONDS) == EXIT_CODE, window


def started(role: Role, *, crash_at: str) -> None:
    """Start it, ready for its queue."""
    role.environ = {**role.environ, VARIABLE: crash_at}
    role.start()
