"""The door answers every recorded push as version 7189888 did: status, type and bytes."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.compat.recorded import CONFIG, read_pushes
from tests.e2e.programs import request
from tests.e2e.running import running_up
from tests.services import debian
from tests.services.faketime import WallClock

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def wall(tmp_path: Path) -> WallClock:
    return debian.or_skip(lambda: WallClock(tmp_path))


def test_every_push_is_answered_as_it_was(tmp_path: Path, wall: WallClock) -> None:
    """Signatures have their time, so the clock is set to when they were made; questions are asked and decided."""
    pushes = read_pushes()
    wall.set_wrong(by=pushes[0].at - datetime.now(UTC))
    places = {"CALLSTITCH_BROKER": "embedded:broker.db", "CALLSTITCH_STORE": "sqlite:state"}
    config = re.sub(r"(?s)\[\[queue\]\]\n.*?(?=\n\[)", "", CONFIG.read_text())  # the embedded broker refuses one since
    with running_up(tmp_path, config, environ={**wall.environ, **places}) as up:
        for n, push in enumerate(pushes):
            path = f"/v1/{push.source}/token-of-{push.source}{push.path}"
            headers = {"Content-Type": push.content_type, **push.headers}
            answer = request(up.listen, "POST", path, push.body, headers)
            told = (answer.status, answer.headers.get("content-type", ""), answer.body.decode())
            assert told == (push.status, push.answer_type, push.answer), f"push {n}, of {push.source}"
