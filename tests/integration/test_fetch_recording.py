from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from pydantic import SecretStr

from console.emulator.audio import make_wav
from console.emulator.huawei.pushes import RECORD_DOMAIN
from console.emulator.huawei.recordings import API
from console.emulator.recordings import Recordings, serve_recordings
from runtime.verdict import POLICIES, Retry, verdict
from schemas.envelope import Envelope
from schemas.facts import Recording
from schemas.platforms.jiuyun.settings import JiuyunSource
from schemas.settings.source import Source
from schemas.stage import Failed
from schemas.topology import RETRY_DELAYS
from tests.building.loops import until
from tests.services.recording_theatre import (
    AT,
    KEY,
    LAST_ATTEMPT,
    NAME,
    SECRET,
    WAV,
    Answer,
    Theatre,
    a_source,
    an_order,
    fetching,
    last_word,
    open_theatre,
    serves,
    stored_files,
    the_fact,
    the_recording,
    the_retry,
)

FETCHING = POLICIES["fetch_recording"]


def jiuyun_source(theatre: Theatre) -> Source:
    """A platform that has no API for recordings."""
    hosts = (f"localhost:{theatre.audio.port}",)
    return JiuyunSource(
        name="huawei-bj",
        platform="jiuyun_axb",
        tokens=(SecretStr("t"),),
        recording_hosts=hosts,
        allow_private=True,
    )


@pytest.fixture
async def theatre() -> AsyncIterator[Theatre]:
    async with open_theatre() as played:
        yield played


async def test_a_signed_request_leads_to_exactly_the_served_bytes(theatre: Theatre, tmp_path: Path) -> None:
    async with fetching(tmp_path, a_source(theatre)) as fetch:
        (outcome,) = await fetch([an_order()])
    place = f"huawei-bj/2026/11/20/{KEY}.wav"
    assert the_recording(outcome) == Recording(
        key=KEY,
        state="stored",
        place=place,
        bytes=len(WAV),
        sha256=hashlib.sha256(WAV).hexdigest(),
        seconds=12.0,
        format="wav",
    )
    assert (tmp_path / "objects" / place).read_bytes() == WAV
    assert theatre.fetched[0].raw_path == f"/files/{NAME}?Signature=a%2Fb%3D"


async def test_the_fact_is_the_same_every_time_it_is_made(theatre: Theatre, tmp_path: Path) -> None:
    async with fetching(tmp_path, a_source(theatre)) as fetch:
        (first,) = await fetch([an_order()])
        (again,) = await fetch([an_order(attempt=2)])
    assert first == again
    fact = the_fact(first)
    assert (fact.kind, fact.platform, fact.session_id) == ("recording", "huawei_privatenumber", "s1")
    assert (fact.key, fact.at) == (f"recording|{KEY}", AT)
    assert stored_files(tmp_path) == [f"huawei-bj/2026/11/20/{KEY}.wav"]


async def test_the_audio_host_never_sees_the_credentials(theatre: Theatre, tmp_path: Path) -> None:
    async with fetching(tmp_path, a_source(theatre)) as fetch:
        await fetch([an_order()])
    assert {"Authorization", "X-AKSK"} <= theatre.asked[0].headers.keys()
    assert theatre.fetched[0].headers.keys() == {"Host", "Accept", "Accept-Encoding", "User-Agent"}
    assert theatre.fetched[0].headers["Accept-Encoding"] == "identity"


async def test_a_recording_not_there_yet_is_tried_again_and_then_stored(theatre: Theatre, tmp_path: Path) -> None:
    theatre.not_yet = 2
    async with fetching(tmp_path, a_source(theatre)) as fetch:
        for attempt in (1, 2):
            (early,) = await fetch([an_order(attempt=attempt)])
            the_retry(early)
        (outcome,) = await fetch([an_order(attempt=3)])
    assert the_recording(outcome).state == "stored"


async def test_a_recording_never_there_fails_on_the_last_attempt(theatre: Theatre, tmp_path: Path) -> None:
    theatre.not_yet = 99
    assert await last_word(tmp_path, a_source(theatre)) == "record_does_not_exist"


@pytest.mark.parametrize("missing", [1, 3, len(FETCHING.delays)])
async def test_a_link_that_is_404_at_first_is_planned_again_until_the_audio_is_there(
    theatre: Theatre, tmp_path: Path, missing: int
) -> None:
    """docs/protocols/jiuyun-axb.md section 6.7: the file is not there yet; its link is all that is known."""

    async def late(_: web.Request) -> web.Response:
        here = len(theatre.fetched) > missing
        return web.Response(body=WAV, content_type="audio/wav") if here else web.Response(status=404)

    theatre.on_audio = late
    order = an_order(name=None, domain=None, url=theatre.location)
    planned = []
    async with fetching(tmp_path, jiuyun_source(theatre), last_attempt=FETCHING.last_attempt) as fetch:
        (outcome,) = await fetch([order])
        while isinstance(outcome, Failed):
            planned.append(verdict(outcome.error, outcome.envelope.attempt, FETCHING))
            (outcome,) = await fetch([outcome.envelope.retried()])
    assert planned == [Retry(delay) for delay in FETCHING.delays[:missing]]
    assert (the_recording(outcome).state, the_recording(outcome).sha256) == ("stored", hashlib.sha256(WAV).hexdigest())
    assert theatre.asked == []


def test_what_is_fetched_later_is_waited_for_longer_than_a_working_day() -> None:
    assert sum(RETRY_DELAYS[delay] for delay in FETCHING.delays) > 12 * 3600


@pytest.mark.parametrize("scheme", ["aksk", "wsse"])
async def test_the_emulators_recordings_arrive_whatever_mood_it_is_in(
    theatre: Theatre, tmp_path: Path, scheme: str
) -> None:
    """The emulator writes digests and audio from the protocol page alone, so it can contradict us."""
    platform = Recordings(seed=7, app_key="app-key", app_secret=SECRET, apis=[API])
    names = [f"190124023006{n:07}0003.wav" for n in range(60)]
    waiting = [an_order(key=f"k{n}", name=name, domain=RECORD_DOMAIN) for n, name in enumerate(names)]
    stored: dict[str, Recording] = {}
    async with serve_recordings(platform) as api:
        source = a_source(theatre, recording_api=api, recording_hosts=(), recording_auth=scheme)
        async with fetching(tmp_path, source) as fetch:
            for _ in range(LAST_ATTEMPT):
                outcomes = await fetch(waiting)
                waiting = [one.envelope.retried() for one in outcomes if isinstance(one, Failed)]
                done = [the_recording(one) for one in outcomes if not isinstance(one, Failed)]
                stored |= {one.key: one for one in done}
    served = {f"k{n}": hashlib.sha256(make_wav(7, name)).hexdigest() for n, name in enumerate(names)}
    assert {key: one.sha256 for key, one in stored.items()} == served
    assert {one.state for one in stored.values()} == {"stored"}
    assert {one.seconds for one in stored.values()} == {3.0}
    assert {platform.mood(name) for name in names} == {"prompt", "late", "later", "html", "json"}
    assert platform.faults == []


def drips(released: asyncio.Event) -> Answer:
    """A byte every while, until released."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(WAV))})
        await response.prepare(request)
        await response.write(WAV[:64])
        for byte in WAV[64:]:
            if released.is_set():
                break
            await response.write(bytes([byte]))
            await asyncio.sleep(0.02)
        return response

    return answer


async def test_a_download_that_drips_is_given_up(theatre: Theatre, tmp_path: Path) -> None:
    theatre.on_audio = drips(asyncio.Event())
    async with fetching(tmp_path, a_source(theatre), settling_seconds=0.1) as fetch:
        (outcome,) = await fetch([an_order()])
    assert str(the_retry(outcome)) == "too_slow"


async def test_a_slow_host_leaves_room_for_the_others(theatre: Theatre, tmp_path: Path) -> None:
    """Four downloads of one host used to hold all four slots, and a fifth, of another call, waited for minutes."""
    released = asyncio.Event()
    port = theatre.audio.port
    source = a_source(theatre, recording_hosts=(f"localhost:{port}", f"127.0.0.1:{port}"), recording_api=None)
    slowly, quickly = drips(released), serves(WAV)
    theatre.on_audio = lambda request: (slowly if request.host.startswith("localhost") else quickly)(request)

    def asked_slowly() -> int:
        return sum(request.host.startswith("localhost") for request in theatre.fetched)

    async with fetching(tmp_path, source) as fetch:
        slow = [
            asyncio.ensure_future(fetch([linked(f"http://localhost:{port}/{n}", key=f"slow-{n}")])) for n in range(4)
        ]
        await until(lambda: asked_slowly() == 2)
        (outcome,) = await fetch([linked(f"http://127.0.0.1:{port}/r", key=KEY)])
        assert the_recording(outcome).state == "stored"
        assert asked_slowly() == 2
        released.set()
        await asyncio.gather(*slow)


async def test_a_host_that_dns_cannot_have_is_a_failed_recording(theatre: Theatre, tmp_path: Path) -> None:
    """The resolver's UnicodeError made two tries and a dead letter, and no recording.failed."""
    source = a_source(theatre, recording_api=None, app_secret=None)
    for host in (f"{'a' * 64}.myhuaweicloud.com", "a..myhuaweicloud.com"):
        async with fetching(tmp_path, source) as fetch:
            (outcome,) = await fetch([linked(f"http://{host}/r.wav", key=KEY)])
        assert (the_recording(outcome).state, the_recording(outcome).reason) == ("failed", "bad_address")


def linked(url: str, *, key: str) -> Envelope:
    return an_order(name=None, domain=None, url=url, key=key)
