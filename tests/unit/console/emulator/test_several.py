"""Several platforms in one play: one truth, one end, each source by its name."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import typer
from aiohttp import web

from console.commands.emulate import _places, _shares
from console.emulator.acts import PLAYABLE
from console.emulator.play import play_all
from console.emulator.settings import EmulatorSettings

START = datetime(2026, 11, 21, 2, 30, 3, tzinfo=UTC)
XML = "<?xml version='1.0'?><Response><statusCode>0000</statusCode></Response>"


async def the_right_word(request: web.Request) -> web.Response:
    """What each platform wants to hear of an ordinary push."""
    body = await request.read()
    match request.match_info["source"]:
        case "aliyun_pnp":
            return web.json_response({"code": 0, "msg": "ok"})
        case "jiuyun_axb":
            return web.Response(text=XML) if body.startswith(b"<") else web.json_response({"statusCode": "0000"})
        case _:
            return web.Response()


async def nothing_right(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(text="ok")


async def too_late(request: web.Request) -> web.Response:
    await request.read()
    await asyncio.sleep(1.0)
    return web.json_response({"code": 0})


@asynccontextmanager
async def a_door(handler: Any) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/v1/{source}/token{tail:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def a_part(door: str, platform: str, truth: Path, **changes: Any) -> EmulatorSettings:
    return EmulatorSettings(
        to=f"{door}/v1/{platform}/token", platform=platform, app_key="KEY", app_secret="SECRET", start=START,
        truth=truth, **{"calls": 8, "repush_factor": 60_000.0, **changes},
    )  # fmt: skip


async def test_all_platforms_play_into_one_truth_with_one_end(tmp_path: Path) -> None:
    truth = tmp_path / "sent.jsonl"
    async with a_door(the_right_word) as door:
        played = await play_all([a_part(door, platform, truth) for platform in PLAYABLE])
    lines = [json.loads(line) for line in truth.read_text().splitlines()]
    calls = [line for line in lines if line["type"] == "call"]
    assert Counter(line["source"] for line in calls) == dict.fromkeys(PLAYABLE, 8)
    assert len({line["session_id"] for line in calls}) == played.calls == played.calls_told == 32
    [end] = [line for line in lines if line["type"] == "end"]
    assert end == lines[-1]
    assert end["posts_200"] == sum(source["posts_200"] for source in end["sources"].values())
    assert (played.faults, played.posts_given_up, played.answers_wrong) == ([], 0, 0)


@pytest.mark.parametrize("platform", PLAYABLE)
async def test_a_wrong_word_is_counted_and_named(tmp_path: Path, platform: str) -> None:
    async with a_door(nothing_right) as door:
        played = await play_all([a_part(door, platform, tmp_path / "t", calls=2)])
    assert played.answers_wrong == played.posts_200 > 0
    assert played.faults


async def test_aliyun_waits_700_ms_and_gives_up_after_three_repushes(tmp_path: Path) -> None:
    async with a_door(too_late) as door:
        played = await play_all([a_part(door, "aliyun_pnp", tmp_path / "t", calls=1)])
    assert played.posts_given_up > 0
    assert played.attempts == played.attempts_late == played.attempts_unanswered == 4 * played.posts_given_up
    assert played.calls_told == 0


async def test_jiuyun_never_tries_again(tmp_path: Path) -> None:
    played = await play_all([a_part("http://127.0.0.1:9", "jiuyun_axb", tmp_path / "t", calls=3)])
    assert played.attempts == played.posts_given_up > 0


def test_a_url_alone_is_privatenumbers_unless_said_otherwise() -> None:
    assert _places(["http://h/v1/a/t"], "huawei_privatenumber") == [("huawei_privatenumber", "http://h/v1/a/t")]
    assert _places(["http://h/v1/a/t?x=1"], "jiuyun_axb") == [("jiuyun_axb", "http://h/v1/a/t?x=1")]
    named = _places(["aliyun_pnp=http://h/v1/a/t", "http://h/proxied/v1/b/t"], "huawei_privatenumber")
    assert named == [("aliyun_pnp", "http://h/v1/a/t"), ("huawei_privatenumber", "http://h/proxied/v1/b/t")]


@pytest.mark.parametrize("to", [["nobody=http://h/v1/a/t"], ["http://h/v1/a/t", "http://h/v1/b/t"]])
def test_a_platform_that_is_unknown_or_named_twice_is_refused(to: list[str]) -> None:
    with pytest.raises(typer.BadParameter):
        _places(to, "huawei_privatenumber")


@pytest.mark.parametrize("calls", [4, 5, 7, 200, 1001])
def test_the_platforms_share_the_calls(calls: int) -> None:
    shares = _shares([*PLAYABLE], calls)
    assert sum(shares) == calls
    assert min(shares) >= 1
    assert _shares(["jiuyun_axb"], calls) == [calls]
