"""The arithmetic of the benchmarks, and that a run which lost something does not count."""

from __future__ import annotations

import asyncio
import math
import os
import socket
import time
from array import array
from contextlib import ExitStack
from pathlib import Path

import orjson
import pytest

from tests.bench.bodies import session_id
from tests.bench.cases import job
from tests.bench.contender import ROOT, Processes, Trouble, module, processes
from tests.bench.downstream import arrivals, watch_file
from tests.bench.figures import Latency, Run, counts_differ, difference, latency, ratio, rows
from tests.bench.peers_environment import LOCK, versions
from tests.bench.playing import best, guarded
from tests.bench.report import INTRODUCTION, Goal, page, table
from tests.bench.settings import Settings
from tests.bench.sockets import listens
from tests.bench.theatre import Theatre
from tests.bench.usage import usage
from tests.services import ports

RUN = "r1234567"


def a_run(
    contender: str = "ours", *, count: int = 1000, seconds: float = 1.0, cpu: float = 0.5, trouble: str | None = None
) -> Run:
    return Run(
        case="ingest",
        contender=contender,
        count=count,
        seconds=seconds,
        cpu=cpu,
        services_cpu=2 * cpu,
        peak_mib=50,
        latency=Latency(p50=1, p95=2, p99=3),
        trouble=trouble,
    )


def an_event(short_type: str, call: int, event_id: str) -> bytes:
    return orjson.dumps(
        {"id": event_id, "type": f"callstitch.{short_type}.v1", "subject": f"bench:{session_id(RUN, call)}"}
    )


# --- arithmetic ---


def test_a_row_holds_medians_the_spread_and_costs_per_thousand() -> None:
    [row] = rows([a_run(seconds=1), a_run(seconds=2, cpu=1.0), a_run(seconds=4)])

    assert (row.rate, row.least, row.greatest) == (500, 250, 1000)
    assert row.spread == 1.5
    assert (row.cpu_per_thousand, row.services_cpu_per_thousand) == (0.5, 1.0)
    assert (row.counted, row.played, row.latency) == (3, 3, Latency(p50=1, p95=2, p99=3))


def test_a_run_with_trouble_changes_no_figure_and_says_why() -> None:
    [row] = rows([a_run(seconds=1), a_run(seconds=0.001, trouble="3 of 9 sent never arrived")])

    assert (row.rate, row.greatest, row.counted, row.played) == (1000, 1000, 1, 2)
    assert row.troubles == ["3 of 9 sent never arrived"]


def test_a_contender_without_a_run_that_counts_has_no_figures() -> None:
    found = rows([a_run("ours", trouble="lost"), a_run("peer")])

    assert math.isnan(found[0].rate)
    assert math.isnan(ratio(found, case="ingest", of="ours", to="peer"))
    assert math.isnan(ratio(found, case="ingest", of="peer", to="ours"))
    assert "| ours | - | - to - |" in table(found, "ingest")


def test_a_ratio_is_of_medians_in_one_case() -> None:
    found = rows([a_run("ours", seconds=1), a_run("peer", seconds=4), a_run("peer", seconds=5), a_run("peer")])

    assert ratio(found, case="ingest", of="ours", to="peer") == 4.0
    assert math.isnan(ratio(found, case="relay", of="ours", to="peer"))


def test_percentiles_are_by_the_nearest_rank() -> None:
    assert latency(range(1, 101)) == Latency(p50=50, p95=95, p99=99)
    assert latency([7.0]) == Latency(p50=7, p95=7, p99=7)
    assert latency([]) is None


def test_the_page_tells_conditions_settings_and_goals() -> None:
    found = rows([a_run("ours"), a_run("peer", seconds=2)])
    text = page(found, [Goal(case="ingest", of="ours", to="peer", least=0.8)], [("command", "`make bench`")])

    assert "| command | `make bench` |" in text
    assert "| ingest | ours / peer | 2.00 | 0.80 |" in text


# --- what counts ---


def test_what_was_sent_and_arrived_once_counts() -> None:
    assert difference(sent=["a", "b"], arrived=["b", "a", "a"]) is None
    assert counts_differ(wanted=2, found=2) is None


def test_a_run_that_lost_something_does_not_count() -> None:
    assert difference(sent=["a", "b"], arrived=["a", "a"]) == "1 of 2 sent never arrived"
    assert counts_differ(wanted=2, found=1) == "1 of 2 never arrived"


def test_a_run_of_duplicates_is_no_run() -> None:
    assert difference(sent=["a", "a"], arrived=["a"]) == "1 of 2 sent were duplicates"


def test_what_was_under_way_at_the_end_may_have_arrived_and_no_more() -> None:
    assert counts_differ(wanted=10, found=12, unsure=2) is None
    assert counts_differ(wanted=10, found=13, unsure=2) == "3 more than the 10 that were sent"
    assert difference(sent=["a"], arrived=["a", "b"], unsure=1) is None
    assert difference(sent=["a"], arrived=["a", "b"]) == "1 arrived that were never sent"


def test_a_job_counts_when_each_call_is_completed_and_each_of_its_events_told() -> None:
    seen = arrivals("steps", run=RUN, calls=2)
    for call in range(2):
        for step in range(5):
            seen.take(an_event("call.progress", call, f"{call}-{step}"), f"{call}-{step}", now=1.0)
        seen.take(an_event("call.completed", call, f"c{call}"), f"c{call}", now=2.5 + call)

    assert (seen.whole, seen.trouble) == (True, None)
    assert seen.milliseconds(array("d", [2.0, 3.0])) == [500.0, 500.0]


def test_a_job_that_lost_an_event_does_not_count_whatever_came_twice() -> None:
    seen = arrivals("steps", run=RUN, calls=1)
    for step in (0, 1, 2, 3, 3):
        seen.take(an_event("call.progress", 0, f"{step}"), f"{step}", now=1.0)
    seen.take(an_event("call.completed", 0, "c"), "c", now=1.0)

    assert not seen.whole
    assert seen.trouble == "call.progress: 1 of 5 never arrived"


def test_a_job_that_lost_a_call_or_tells_of_another_run_does_not_count() -> None:
    seen = arrivals("merged", run=RUN, calls=2)
    seen.take(an_event("call.completed", 0, "c"), "c", now=1.0)
    seen.take(an_event("call.completed", 0, "c"), "c", now=2.0)
    assert seen.trouble == "call.completed: 1 of 2 never arrived"

    seen.take(an_event("call.completed", 7, "d"), "d", now=2.0)
    assert seen.trouble == "1 events of no call that was sent"


async def test_the_embedded_stacks_file_is_read_as_it_grows(tmp_path: Path) -> None:
    path, seen = tmp_path / "calls.jsonl", arrivals("merged", run=RUN, calls=2)
    watching = asyncio.create_task(watch_file(path, seen, lambda: False))
    lines = b"".join(an_event("call.completed", call, f"c{call}") + b"\n" for call in range(2))
    for part in (lines[:50], lines[50:]):
        await asyncio.sleep(0.02)
        with path.open("ab") as file:
            file.write(part)
    await asyncio.wait_for(watching, 5)

    assert seen.trouble is None


# --- playing ---


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

    async def never(_: job.Contender) -> Run:
        raise AssertionError("played")

    assert await best(theatre, "job", job.FASTSTREAM, never) is job.FASTSTREAM[0]


def test_cpu_and_peak_memory_are_those_of_this_process() -> None:
    before, until = usage([os.getpid()]), time.process_time() + 0.1
    while time.process_time() < until:
        pass

    assert usage([os.getpid()]).cpu - before.cpu >= 0.05
    assert before.peak_mib > 5
    assert usage([]).cpu == 0


# --- settings ---


def test_only_a_whole_run_may_write_the_docs() -> None:
    assert Settings().whole
    assert not any(one.whole for one in (Settings(quick=True), Settings(cases=("ingest",)), Settings(only=("ours",))))
    with pytest.raises(ValueError, match="no such case"):
        Settings(cases=("speed",))


def test_the_docs_say_how_the_page_is_made() -> None:
    assert (ROOT / "docs" / "bench.md").read_text().startswith(INTRODUCTION.strip())


def test_the_peers_are_pinned_with_hashes_and_name_no_index() -> None:
    text = LOCK.read_text()

    assert versions()["mq-bridge"]
    assert "://" not in text
    assert all("--hash=" in block for block in text.split("==")[1:])
