"""The fault kit itself: a minute of it finds nothing wrong, and it finds the bug that is there on purpose.

`make chaos` runs longer. It is a process of its own, as whoever runs it by hand would start it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.programs import ROOT
from tests.services import debian, postgresql, rabbitmq

RUN_SECONDS = 400.0  # a machine that is busy with others too
ALL_IS_WELL = "chaos: lost 0, wrong 0, two bodies 0, completed twice 0, parked 0, webhook 0, not drained 0, exits 0"


@pytest.mark.rabbitmq
def test_roles_rabbitmq_and_postgresql_die_under_load_and_nothing_is_lost_or_wrong(tmp_path: Path) -> None:
    install(rabbitmq.install, postgresql.install)

    code, told = chaos(tmp_path, "--seconds", "60", "--seed", "1", "--rate", "200")

    assert code == 0, told
    assert ALL_IS_WELL in told
    assert "broker stop" in told or "broker kill" in told, "the broker was never hit"


def test_a_worker_that_acks_before_its_work_is_caught(tmp_path: Path) -> None:
    code, told = chaos(
        tmp_path, "--stack", "embedded", "--seconds", "5", "--faults", "", "--sabotage", "ack_first", "--drain", "3"
    )

    assert code == 1, told
    assert "chaos: lost 0" not in told


def chaos(directory: Path, *options: str) -> tuple[int, str]:
    """Exit code and output of one run."""
    done = subprocess.run(
        [*debian.dies_with_us(), sys.executable, "-m", "tests.chaos", "--directory", str(directory / "run"), *options],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    return done.returncode, done.stdout


def install(*packages: Callable[[], None]) -> None:
    """Have Debian's packages in place, or skip."""
    try:
        for package in packages:
            package()
    except debian.Missing as missing:
        pytest.skip(str(missing))
