"""The fault kit itself: a minute of it finds nothing wrong, and it finds the bug that is there on purpose.

`make chaos` runs longer. It is a process of its own, as whoever runs it by hand would start it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from tests.chaos import player
from tests.chaos.fault import Fault
from tests.chaos.player import Player
from tests.chaos.scene import Scene, Seen
from tests.chaos.schedule import hard_ones
from tests.chaos.settings import EVERY_FAULT, Settings, Stack, Store
from tests.chaos.troubles import TROUBLES, Trouble
from tests.e2e.programs import ROOT
from tests.services import debian, postgresql, rabbitmq

RUN_SECONDS = 400.0  # a machine that is busy with others too
ALL_IS_WELL = (
    "chaos: lost 0, wrong 0, two bodies 0, completed twice 0, parked 0, webhook 0, not drained 0, exits 0, unseen 0"
)


@pytest.mark.rabbitmq
def test_whatever_dies_is_taken_away_or_stands_still_under_load_nothing_is_lost_or_wrong(tmp_path: Path) -> None:
    install(rabbitmq.install, postgresql.install)

    code, told = chaos(tmp_path, "--faults", "all", "--seconds", "60", "--seed", "1", "--rate", "200")

    assert code == 0, told
    assert ALL_IS_WELL in told
    assert "broker stop" in told or "broker kill" in told, "the broker was never hit"


@pytest.mark.rabbitmq
def test_on_rabbitmq_4_neither(tmp_path: Path) -> None:
    """One broker's faults only: what the roles do of themselves is the same on every version.

    With this seed the broker is stopped before the hard faults take what time a slow machine has.
    """
    install(partial(rabbitmq.install, rabbitmq.STABLE), postgresql.install)

    faults = "kill,broker,proxy,webhook,memory_alarm,connections_closed,queue_deleted,exchange_deleted"
    options = ("--faults", faults, "--seconds", "45", "--seed", "3", "--rate", "150")
    code, told = chaos(tmp_path, *options, rabbitmq_of=rabbitmq.STABLE)

    assert code == 0, told
    assert ALL_IS_WELL in told
    assert "broker stop" in told or "broker kill" in told, "the broker was never hit"


def test_neither_is_it_where_one_process_does_everything(tmp_path: Path) -> None:
    code, told = chaos(tmp_path, "--stack", "embedded", "--faults", "all", "--seconds", "35", "--rate", "100")

    assert code == 0, told
    assert ALL_IS_WELL in told


def test_a_worker_that_acks_before_its_work_is_caught(tmp_path: Path) -> None:
    code, told = chaos(
        tmp_path, "--stack", "embedded", "--seconds", "5", "--faults", "", "--sabotage", "ack_first", "--drain", "3"
    )

    assert code == 1, told
    assert "chaos: lost 0" not in told


@pytest.mark.parametrize(
    ("over", "unseen"), [(False, ["memory_alarm was played and not seen within 0.1 s"]), (True, [])]
)
def test_a_hard_fault_that_nobody_sees_while_there_is_traffic_fails_the_run(
    monkeypatch: pytest.MonkeyPatch, *, over: bool, unseen: list[str]
) -> None:
    @contextmanager
    def nothing(_: Scene, __: str) -> Iterator[Seen]:
        yield str

    monkeypatch.setitem(TROUBLES, "memory_alarm", Trouble(play=nothing))
    monkeypatch.setattr(player, "SEEN_SECONDS", 0.1)
    playing = Player(cast("Scene", None))
    playing.traffic_is_over = over

    assert playing.hit(Fault(at=0, kind="memory_alarm", how="", target="memory_alarm", away=0))
    playing.close()

    assert playing.unseen == unseen
    assert [fault.kind for fault in playing.too_late] == ["memory_alarm"] * over
    assert playing.played == (set() if over else {"memory_alarm"})


def test_a_freeze_may_last_longer_than_a_fault_takes_to_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(player, "SEEN_SECONDS", 0.1)
    with subprocess.Popen(["sleep", "60"]) as process:
        kept = SimpleNamespace(role=SimpleNamespace(process=process, admin="127.0.0.1:9"))
        playing = Player(cast("Scene", SimpleNamespace(roles={"dedupe": kept}, longest=0.5)))
        assert playing.hit(Fault(at=0, kind="frozen", how="workers", target="frozen", away=0))
        playing.close()
        process.kill()

    assert playing.unseen == []
    assert dict(playing.seen) == {"frozen workers": {"stopped, no answer": 1}}


def test_in_ten_minutes_every_hard_fault_has_its_turn() -> None:
    for stack, store in (("rabbitmq", "postgresql"), ("embedded", "sqlite")):
        wanted = settings(cast("Stack", stack), cast("Store", store))
        played = {fault.kind for fault in hard_ones(wanted)}
        assert played == {name for name in TROUBLES if wanted.wants(name)}
        assert len(played) > 3


def settings(stack: Stack, store: Store) -> Settings:
    """Of the run whose figures stand in docs/reliability.md."""
    return Settings(
        seconds=600,
        seed=1,
        rate=400,
        faults=frozenset(EVERY_FAULT),
        stack=stack,
        store=store,
        sabotage=None,
        drain_seconds=300,
        directory=Path("unused"),
    )


def chaos(directory: Path, *options: str, rabbitmq_of: str = "") -> tuple[int, str]:
    """Exit code and output of one run, on this machine's RabbitMQ or that of a suite."""
    done = subprocess.run(
        [*debian.dies_with_us(), sys.executable, "-m", "tests.chaos", "--directory", str(directory / "run"), *options],
        cwd=ROOT,
        env={**os.environ, **({rabbitmq.CHOSEN: rabbitmq_of} if rabbitmq_of else {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    return done.returncode, done.stdout


def install(*packages: Callable[[], object]) -> None:
    """Have Debian's packages in place, or skip."""
    for package in packages:
        debian.or_skip(package)
