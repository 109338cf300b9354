"""How contenders are played in turn, and that nothing of somebody else is measured."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.bench.cases import jobs
from tests.bench.contender import Processes, Trouble, module, processes
from tests.bench.figures import Run
from tests.bench.playing import best, guarded, in_turn
from tests.bench.settings import Settings
from tests.bench.sockets import listens
from tests.bench.theatre import Theatre
from tests.bench.usage import usage
from tests.building.bench_runs import a_run
from tests.services import ports


async def test_a_contender_that_ends_by_itself_has_trouble_and_no_figure(tmp_path: Path) -> None:
    async def playing() -> Run:
        with processes(tmp_path) as found:
            found.start("broken", module("tests.bench.no_such_module"))
            await found.wait_for_port(ports.free_port())
            return a_run()

    run = await guarded("ingest", "broken", playing())

    assert run.trouble is not None
    assert "broken ended with code 1" in run.trouble
    assert run.rate == 0


async def test_somebody_elses_server_is_not_taken_for_ours(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert listens([os.getpid()], port)
        found = Processes(directory=tmp_path)
        found.start("sleeper", ["sleep", "30"])
        try:
            with pytest.raises(Trouble, match="not ready"):
                await found.wait_until(lambda: found.listens(port), seconds=0.2)
        finally:
            found.end()


async def test_without_tuning_the_first_setting_is_taken_and_none_is_played(tmp_path: Path) -> None:
    theatre = Theatre(settings=Settings(quick=True, directory=tmp_path), cleaning=ExitStack())

    async def never(_: jobs.Contender) -> Run:
        raise AssertionError("played")

    assert await best(theatre, "job", jobs.FASTSTREAM, never) is jobs.FASTSTREAM[0]


async def test_rounds_are_played_to_and_fro_and_who_cannot_play_is_not_asked_again() -> None:
    def playing(name: str, count: int) -> Callable[[], Awaitable[Run]]:
        async def play() -> Run:
            return a_run(name, count=count, trouble=None if count else "no such program")

        return play

    plays = [playing("a", 1), playing("b", 0), playing("c", 1)]
    assert [run.contender async for run in in_turn(3, plays)] == ["a", "b", "c", "c", "a", "a", "c"]


def test_cpu_and_peak_memory_are_those_of_this_process() -> None:
    before, until = usage([os.getpid()]), time.process_time() + 0.1
    while time.process_time() < until:
        pass

    assert usage([os.getpid()]).cpu - before.cpu >= 0.05
    assert before.peak_mib > 5
    assert usage([]).cpu == 0
