from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from console.emulator.huawei.signing import is_signed
from console.emulator.play import EmulatorSettings, Played, play
from console.emulator.recordings import Recordings

START = datetime(2026, 11, 21, 2, 30, 3, tzinfo=UTC)


@dataclass
class Door:
    """A door that refuses its first posts and keeps what it took."""

    refuse: int = 0
    refused_path: str = ""
    body: str = ""
    paths: list[str] = field(default_factory=list)
    taken: list[bytes] = field(default_factory=list)
    signed: list[bool] = field(default_factory=list)
    sessions_in_flight: Counter[str] = field(default_factory=Counter)

    async def take(self, request: web.Request) -> web.Response:
        raw = await request.read()
        self.signed.append(is_signed(request.headers, app_key="KEY", app_secret="SECRET"))
        sessions = set(re.findall(rb'"sessionId":"([^"]+)"', raw))
        assert not [session for session in sessions if self.sessions_in_flight[session.decode()]]
        self.sessions_in_flight.update(session.decode() for session in sessions)
        await asyncio.sleep(0.001)
        self.sessions_in_flight.subtract(session.decode() for session in sessions)
        if self.refuse or request.path == self.refused_path:
            self.refuse -= bool(self.refuse)
            return web.Response(status=503)
        self.paths.append(request.path)
        self.taken.append(raw)
        return web.Response(text=self.body)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_post("/v1/huawei/token/{tail:.*}", self.take)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1/huawei/token"
        finally:
            await runner.cleanup()


def the_lines(truth: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in truth.read_text().splitlines()]


async def a_play(door: Door, truth: Path, **changes: Any) -> tuple[Played, list[dict[str, Any]]]:
    async with door.open() as to:
        settings = EmulatorSettings(
            to=to,
            platform="huawei_privatenumber",
            app_key="KEY",
            app_secret="SECRET",
            start=START,
            calls=40,
            truth=truth,
            repush_factor=60_000.0,
        )
        played = await play(replace(settings, **changes))
    return played, the_lines(truth)


def of_type(lines: list[dict[str, Any]], wanted: str) -> list[dict[str, Any]]:
    return [line for line in lines if line["type"] == wanted]


async def test_a_door_that_refuses_for_a_while_loses_nothing(tmp_path: Path) -> None:
    door = Door(refuse=30)
    played, lines = await a_play(door, tmp_path / "sent.jsonl")
    pushes, calls = of_type(lines, "push"), of_type(lines, "call")
    assert {push["status"] for push in pushes} == {200}
    assert max(push["attempts"] for push in pushes) > 1
    assert (played.attempts_refused, played.posts_given_up, played.faults) == (30, 0, [])
    assert played.posts_200 == len(door.taken) == len(pushes)
    assert len(calls) == played.calls == 40
    assert all(call["expect"]["cdr_accepted"] and not call["given_up"] for call in calls)
    assert all(door.signed)


async def test_the_totals_balance_and_stand_in_the_last_line(tmp_path: Path) -> None:
    door = Door()
    played, lines = await a_play(door, tmp_path / "sent.jsonl", duplicate_share=0.3)
    items = sum(push["items"] for push in of_type(lines, "push"))
    end = lines[-1]
    assert end["type"] == "end"
    assert {name: end[name] for name in vars(played)} == vars(played)
    assert items == played.items_accepted == played.event_items + played.cdr_items
    assert played.duplicates == played.items_accepted - played.distinct_items_accepted > 0
    assert {path.rsplit("/", 1)[1] for path in door.paths} == {"status", "fee"}


async def test_a_refused_path_is_given_up_after_six_repushes(tmp_path: Path) -> None:
    door = Door(refused_path="/v1/huawei/token/fee")
    played, lines = await a_play(door, tmp_path / "sent.jsonl", calls=10, repush_factor=600_000.0)
    given_up = [push for push in of_type(lines, "push") if push["status"] != 200]
    assert {(push["kind"], push["status"], push["attempts"]) for push in given_up} == {("cdr", 503, 7)}
    assert played.posts_given_up == len(given_up)
    assert not [push for push in of_type(lines, "push") if push["again"] and push["kind"] == "cdr"]
    for call in of_type(lines, "call"):
        assert call["given_up"]
        assert (call["expect"]["missing"], call["expect"]["cdrs"]) == (["cdr"], [])


async def test_a_door_that_is_not_there_gets_six_repushes_and_null(tmp_path: Path) -> None:
    truth = tmp_path / "sent.jsonl"
    played, lines = await a_play(Door(), truth, to="http://127.0.0.1:9", calls=3, repush_factor=600_000.0)
    pushes = of_type(lines, "push")
    assert {(push["status"], push["attempts"]) for push in pushes} == {(None, 7)}
    assert played.attempts_unanswered == played.attempts == 7 * len(pushes)
    assert [call["items_accepted"] for call in of_type(lines, "call")] == [0, 0, 0]


async def test_the_content_does_not_depend_on_concurrency(tmp_path: Path) -> None:
    doors = [Door(), Door()]
    await a_play(doors[0], tmp_path / "a.jsonl", concurrency=1)
    await a_play(doors[1], tmp_path / "b.jsonl", concurrency=12)
    assert Counter(doors[0].taken) == Counter(doors[1].taken)


async def test_a_corrected_cdr_is_accepted_after_the_first_and_wins(tmp_path: Path) -> None:
    door = Door()
    _, lines = await a_play(door, tmp_path / "s.jsonl", amended_share=1.0, stale_share=1.0, redial_share=0.0)
    taken = [record for raw in door.taken for record in json.loads(raw).get("feeLst", [])]
    for call in of_type(lines, "call"):
        ends = [record["callEndTime"] for record in taken if record["sessionId"] == call["session_id"]]
        assert ends[0] == min(ends)
        assert ends[-1] == ends[0]
        assert call["expect"]["amended"]
        assert call["expect"]["ended_at"] == max(ends).replace(" ", "T") + "Z"


async def test_a_second_cdr_without_times_changes_no_top_line(tmp_path: Path) -> None:
    _, lines = await a_play(Door(), tmp_path / "sent.jsonl", redial_share=1.0)
    answered = [call["expect"] for call in of_type(lines, "call") if call["expect"]["answered"]]
    for expected in answered:
        assert len(expected["cdrs"]) == 2
        assert [cdr["ended_at"] for cdr in expected["cdrs"]].count(None) == 1
        assert expected["ended_at"]


async def test_a_call_line_follows_all_pushes_of_its_call(tmp_path: Path) -> None:
    _, lines = await a_play(Door(), tmp_path / "sent.jsonl")
    over: set[str] = set()
    for line in lines[:-1]:
        if line["type"] == "call":
            over.add(line["session_id"])
        else:
            assert not over & set(line["sessions"])


async def test_a_cancelled_play_leaves_whole_lines_and_no_end(tmp_path: Path) -> None:
    truth = tmp_path / "sent.jsonl"
    playing = asyncio.create_task(a_play(Door(), truth, rate=200.0))
    while not truth.exists() or not truth.read_bytes():  # noqa: ASYNC110 - nobody tells that the first line is there
        await asyncio.sleep(0.01)
    playing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await playing
    lines = the_lines(truth)
    assert lines
    assert not of_type(lines, "end")
    assert truth.stat().st_mode & 0o777 == 0o600


async def test_progress_is_told_for_each_call(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    async with Door().open() as to:
        settings = EmulatorSettings(
            to=to,
            platform="huawei_privatenumber",
            app_key="K",
            app_secret="S",
            start=START,
            calls=5,
            truth=tmp_path / "t",
            repush_factor=60_000.0,
        )
        await play(settings, on_progress=lambda done, calls: told.append((done, calls)))
    assert told == [(done, 5) for done in range(1, 6)]


async def test_a_200_with_a_body_is_a_fault(tmp_path: Path) -> None:
    played, _ = await a_play(Door(body="ok"), tmp_path / "sent.jsonl", calls=1)
    assert played.faults
    assert set(played.faults) == {"door: a 200 with a body, where the platform wants it empty"}


async def test_a_rate_is_kept(tmp_path: Path) -> None:
    clock = asyncio.get_running_loop().time
    began = clock()
    played, _ = await a_play(Door(), tmp_path / "sent.jsonl", calls=5, rate=60.0)
    assert clock() - began >= (played.items_accepted - 6) / 60


async def test_faults_of_a_running_recording_api_are_reported(tmp_path: Path) -> None:
    recordings = Recordings(seed=1, app_key="KEY", app_secret="SECRET", faults=["seen before"])
    played, _ = await a_play(Door(), tmp_path / "sent.jsonl", calls=1, recordings=recordings)
    assert played.faults == ["seen before"]


@pytest.mark.parametrize("sign", ["aksk", "wsse"])
async def test_pushes_are_signed_as_the_source_is_set(tmp_path: Path, sign: str) -> None:
    door = Door()
    await a_play(door, tmp_path / "sent.jsonl", calls=2, sign=sign)
    assert all(door.signed)


async def test_unsigned_pushes_carry_no_auth(tmp_path: Path) -> None:
    door = Door()
    await a_play(door, tmp_path / "sent.jsonl", calls=2, sign="none")
    assert not any(door.signed)
