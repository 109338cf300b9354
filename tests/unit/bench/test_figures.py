"""The arithmetic of the benchmarks, and that a run which lost something does not count."""

from __future__ import annotations

import asyncio
import math
from array import array
from pathlib import Path

import orjson
import pytest

from tests.bench.bodies import session_id
from tests.bench.cases import growth, ingest, job, jobs, recovery, relay
from tests.bench.cases import latency as latency_case
from tests.bench.contender import ROOT
from tests.bench.downstream import arrivals, watch_file
from tests.bench.figures import Latency, Middle, counts_differ, difference, find, latency, rows
from tests.bench.goals import goals, multiple
from tests.bench.peers_environment import LOCK, versions
from tests.bench.report import INTRODUCTION, page, table
from tests.bench.settings import Settings
from tests.building.bench_runs import a_run

RUN = "r1234567"


def an_event(short_type: str, call: int, event_id: str) -> bytes:
    return orjson.dumps(
        {"id": event_id, "type": f"callstitch.{short_type}.v1", "subject": f"bench:{session_id(RUN, call)}"}
    )


# --- arithmetic ---


def test_a_row_holds_medians_how_far_they_lie_apart_and_who_took_the_cpu() -> None:
    [row] = rows([a_run(seconds=1), a_run(seconds=2, cpu=1.0), a_run(seconds=4)])

    assert row.rate == Middle(median=500, least=250, greatest=1000)
    assert row.cost == Middle(median=1500, least=1500, greatest=3000)
    assert (row.cpu, row.broker, row.store, row.generator, row.watcher) == (500, 1000, 0, 100, 200)
    assert (row.counted, row.played, row.latency) == (3, 3, Latency(p50=1, p95=2, p99=3))
    assert row.parts == {"one": 500, "two": 0}


def test_a_run_with_trouble_changes_no_figure_and_says_why() -> None:
    [row] = rows([a_run(seconds=1), a_run(seconds=0.001, trouble="3 of 9 sent never arrived")])

    assert (row.rate.median, row.rate.greatest, row.counted, row.played) == (1000, 1000, 1, 2)
    assert row.troubles == ["3 of 9 sent never arrived"]


def test_a_contender_without_a_run_that_counts_has_no_figures_but_its_reason() -> None:
    found = rows([a_run("ours", trouble="lost\n  for good"), a_run("peer")])

    assert math.isnan(found[0].rate.median)
    assert find(found, "ingest", "ours") is None
    text = table(found, "ingest")
    assert "| ours |" not in text
    assert "- ours: 0 of 1 runs count: lost for good" in text


def test_percentiles_are_by_the_nearest_rank() -> None:
    assert latency(range(1, 101)) == Latency(p50=50, p95=95, p99=99)
    assert latency([7.0]) == Latency(p50=7, p95=7, p99=7)
    assert latency([]) is None


# --- the page ---

JOB = job.CASES["steps"]
PLAIN = jobs.named("SQLite")


def test_cpu_is_told_as_a_multiple_of_what_bare_aiohttp_took_on_the_same_python() -> None:
    found = rows(
        [
            a_run(ingest.SERVER.name, cpu=0.1),
            a_run(f"{ingest.SERVER.name}, Python 3.13.5", cpu=0.05),
            a_run(PLAIN, case=JOB, cpu=0.2),
            a_run("Python 3.13.5, SQLite", case=JOB, cpu=0.2),
        ]
    )

    assert [round(multiple(found, row), 6) for row in found[2:]] == [6.0, 12.0]
    assert math.isnan(multiple(found[2:], found[2]))
    assert "| 6.0 |" in table(found, JOB)


def test_the_page_begins_with_goals_met_and_missed_and_what_was_not_measured() -> None:
    found = rows(
        [
            a_run(ingest.SERVER.name, cpu=0.1),
            a_run(PLAIN, case=JOB, cpu=0.2),
            a_run(jobs.named("SQLite", batch=True), case=JOB, cpu=0.2),
            a_run(jobs.FASTSTREAM[0].name, case=JOB, seconds=20),
        ]
    )
    text = page(found, goals(Settings(cases=("job",))), [("command", "`make bench`")])

    assert text.index("## Goals") < text.index("## Conditions") < text.index("## ingest")
    assert f"| job (i): {PLAIN}: CPU, ours and RabbitMQ's / bare aiohttp's request | 6.00 | at most 7 | met |" in text
    assert (
        f"{PLAIN}, batches: CPU, ours and RabbitMQ's / bare aiohttp's request | 6.00 | at most 5 | **missed** |" in text
    )
    assert f"| job (i): rate, {PLAIN} / FastStream + PostgreSQL | 20.00 | at least 10 | met |" in text
    assert (
        f"{PLAIN}, batches, fused: CPU, ours and RabbitMQ's / bare aiohttp's request | - | at most 4.5 | not me" in text
    )
    assert "| command | `make bench` |" in text


def test_a_whole_runs_goals_are_about_contenders_that_it_plays() -> None:
    settings = Settings(beside=("7189888", "abcdef0"), sessions=(10, 20), backlog=7)
    base = [jobs.named(store, of=commit) for commit in settings.beside for store in jobs.STORES]
    in_job = [*(row[0].name for row in jobs.CONTENDERS), *base]
    names = {
        **dict.fromkeys(job.CASES.values(), in_job),
        **{latency_case.case(share): in_job for share in latency_case.SHARES},
        ingest.CASE: [row[0].name for row in ingest.CONTENDERS],
        relay.CASE: [row[0].name for row in relay.CONTENDERS],
        growth.CASES["sessions"]: [growth.holding(store, n) for store in growth.STORES for n in settings.sessions],
        recovery.CASE: [recovery.waiting(store, settings.backlog) for store in jobs.STORES],
    }
    found = rows(a_run(name, case=case) for case, chosen in names.items() for name in chosen)

    asked = list(goals(settings))
    assert len(asked) > 30
    assert [goal.what for goal in asked if math.isnan(goal.measured(found))] == []


def test_what_holds_for_all_contenders_stands_once() -> None:
    both = rows([a_run("ours", setting="alike"), a_run("peer", setting="alike")])
    apart = rows([a_run("ours", setting="alike"), a_run("peer", setting="other")])

    assert "- all: alike" in table(both, "ingest")
    assert "- ours: alike\n- peer: other" in table(apart, "ingest")


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
