from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from pydantic import SecretStr

from schemas.errors import Malformed, Permanent, Unavailable
from schemas.stage import Failed
from tests.services.full_disk import a_disk_that_holds
from tests.services.recording_theatre import (
    LAST_ATTEMPT,
    MOST_BYTES,
    NAME,
    SECRET,
    WAV,
    Answer,
    Theatre,
    a_source,
    a_wav,
    an_order,
    fetching,
    last_word,
    open_theatre,
    refuses,
    serves,
    stored_files,
    the_recording,
    the_retry,
)


@pytest.fixture
async def theatre() -> AsyncIterator[Theatre]:
    async with open_theatre() as played:
        yield played


@pytest.mark.parametrize(
    "answer",
    [
        serves(b'{"resultcode":"1012007","resultdesc":"The record does not exist."}', "audio/wav"),
        serves(b"<!DOCTYPE html><title>Log in</title>", "text/html"),
        serves('{"error":1}'.encode("utf-16"), "audio/mpeg"),
        serves(b""),
    ],
    ids=["json", "html", "utf-16", "empty"],
)
async def test_a_200_that_is_no_audio_is_never_stored(theatre: Theatre, tmp_path: Path, answer: Answer) -> None:
    theatre.on_audio = answer
    async with fetching(tmp_path, a_source(theatre)) as fetch:
        (outcome,) = await fetch([an_order()])
    assert str(the_retry(outcome)) == "not_audio"
    assert await last_word(tmp_path, a_source(theatre)) == "not_audio"


async def test_what_is_too_large_is_refused_with_and_without_a_length(theatre: Theatre, tmp_path: Path) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        for _ in range(MOST_BYTES // len(WAV) + 2):
            await response.write(WAV)
        return response

    for answer in (serves(a_wav(MOST_BYTES // 8000 + 1)), endless):
        theatre.on_audio = answer
        assert await last_word(tmp_path, a_source(theatre), an_order(attempt=1)) == "too_large"


async def test_a_connection_that_breaks_too_early_stores_nothing(theatre: Theatre, tmp_path: Path) -> None:
    async def torn(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(WAV))})
        await response.prepare(request)
        await response.write(WAV[:5000])
        assert request.transport is not None
        request.transport.close()
        return response

    async def torn_without_a_length(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\n" + WAV[:5000])
        request.transport.close()
        return web.StreamResponse()

    theatre.on_audio = torn
    assert await last_word(tmp_path, a_source(theatre)) == "connection_broken"
    theatre.on_audio = torn_without_a_length
    assert await last_word(tmp_path, a_source(theatre)) == "truncated"


@pytest.mark.parametrize("status", [403, 404, 429, 500, 503])
async def test_an_audio_host_that_refuses_is_asked_again(theatre: Theatre, tmp_path: Path, status: int) -> None:
    theatre.on_audio = refuses(status, {"Retry-After": "120"})
    async with fetching(tmp_path, a_source(theatre)) as fetch:
        (outcome,) = await fetch([an_order()])
    assert (str(the_retry(outcome)), the_retry(outcome).retry_after) == ("audio_refused", 120.0)


async def test_a_busy_api_says_when_to_come_back(theatre: Theatre, tmp_path: Path) -> None:
    theatre.on_api = refuses(503, {"Retry-After": "Sat, 21 Nov 2026 09:05:00 GMT"})
    async with fetching(tmp_path, a_source(theatre)) as fetch:
        (outcome,) = await fetch([an_order()])
    assert the_retry(outcome).retry_after == 300.0


async def test_a_refused_signature_waits_out_the_platforms_block(theatre: Theatre, tmp_path: Path) -> None:
    """docs/protocols/huawei-reason-codes.md table G, 1020176: blocked about 30 minutes; keys can be mended."""
    source = a_source(theatre, app_secret=SecretStr("another"))
    async with fetching(tmp_path, source) as fetch:
        (outcome,) = await fetch([an_order()])
    assert (the_retry(outcome).retry_after or 0) > 1800
    assert await last_word(tmp_path, source) == "platform_refused"
    assert theatre.fetched == []


async def test_three_redirects_are_followed(theatre: Theatre, tmp_path: Path) -> None:
    async def down_the_stairs(request: web.Request) -> web.Response:
        step = int(request.query.get("step", "0"))
        if step == 3:
            return web.Response(body=WAV)
        return web.Response(status=302, headers={"Location": f"/files/x?step={step + 1}"})

    theatre.on_audio = down_the_stairs
    async with fetching(tmp_path, a_source(theatre)) as fetch:
        (outcome,) = await fetch([an_order()])
    assert the_recording(outcome).sha256 == hashlib.sha256(WAV).hexdigest()


async def test_redirects_that_go_round_end(theatre: Theatre, tmp_path: Path) -> None:
    theatre.on_audio = refuses(301, {"Location": "/round"})
    assert await last_word(tmp_path, a_source(theatre)) == "too_many_redirects"
    assert len(theatre.fetched) == 4


async def test_a_host_not_in_the_list_is_never_called(theatre: Theatre, tmp_path: Path) -> None:
    source = a_source(theatre, recording_hosts=("audio.example.com",))
    assert await last_word(tmp_path, source, an_order(attempt=1)) == "host_not_allowed"
    assert theatre.fetched == []


async def test_a_redirect_to_a_host_not_in_the_list_is_never_followed(theatre: Theatre, tmp_path: Path) -> None:
    elsewhere = f"http://[::ffff:127.0.0.1]:{theatre.audio.port}/stolen"
    theatre.on_audio = refuses(302, {"Location": elsewhere})
    assert await last_word(tmp_path, a_source(theatre), an_order(attempt=1)) == "host_not_allowed"
    assert len(theatre.fetched) == 1


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://localhost/x", "http://u:p@localhost/x", "http://a b/"]
)
async def test_an_odd_location_is_refused(theatre: Theatre, tmp_path: Path, location: str) -> None:
    theatre.on_audio = refuses(302, {"Location": location})
    reason = await last_word(tmp_path, a_source(theatre), an_order(attempt=1))
    assert reason in {"scheme_not_allowed", "userinfo_not_allowed", "bad_address"}


async def test_a_private_address_is_refused_at_the_socket(theatre: Theatre, tmp_path: Path) -> None:
    """The name is allowed and the scheme is right: the address alone is what stops it."""
    hosts = (f"localhost:{theatre.audio.port}",)
    source = a_source(theatre, recording_api=None, recording_hosts=hosts, allow_private=False)
    order = an_order(attempt=1, name=None, url=f"https://localhost:{theatre.audio.port}/x.wav")
    assert await last_word(tmp_path, source, order) == "address_not_allowed"


async def test_a_private_api_is_not_sent_credentials(theatre: Theatre, tmp_path: Path) -> None:
    api = f"https://127.0.0.1:{theatre.api.port}"
    source = a_source(theatre, recording_api=api, allow_private=False)
    assert await last_word(tmp_path, source, an_order(attempt=1)) == "address_not_allowed"
    assert theatre.asked == []


async def test_a_link_without_a_name_is_fetched_as_it_is(theatre: Theatre, tmp_path: Path) -> None:
    async with fetching(tmp_path, a_source(theatre)) as fetch:
        (outcome,) = await fetch([an_order(name=None, domain=None, url=theatre.location)])
    assert the_recording(outcome).state == "stored"
    assert theatre.asked == []


async def test_neither_name_nor_link_fails_at_once(theatre: Theatre, tmp_path: Path) -> None:
    order = an_order(attempt=1, name=None, domain=None)
    assert await last_word(tmp_path, a_source(theatre), order) == "no_file_named"


async def test_nobody_listening_is_worth_another_attempt(theatre: Theatre, tmp_path: Path) -> None:
    order = an_order(name=None, url=theatre.location)
    await theatre.audio.close()
    async with fetching(tmp_path, a_source(theatre, recording_hosts=("localhost",))) as fetch:
        (outcome,) = await fetch([order])
    assert str(the_retry(outcome)) == "unreachable"


async def test_one_bad_recording_spoils_no_neighbour(theatre: Theatre, tmp_path: Path) -> None:
    stranger = replace(an_order(), source="gone")
    batch = [an_order(), an_order(key="k2", name=None), stranger, an_order(key="k3"), replace(an_order(), body={})]
    async with fetching(tmp_path, a_source(theatre)) as fetch:
        good, nameless, unknown, also_good, unreadable = await fetch(batch)
    assert [the_recording(one).state for one in (good, nameless, also_good)] == ["stored", "failed", "stored"]
    assert isinstance(unknown, Failed)
    assert isinstance(unknown.error, Permanent)
    assert isinstance(unreadable, Failed)
    assert isinstance(unreadable.error, Malformed)


async def test_an_object_store_away_holds_the_batch(theatre: Theatre, tmp_path: Path) -> None:
    async with fetching(tmp_path, a_source(theatre)) as fetch:
        (tmp_path / "objects" / "huawei-bj").write_text("a file where a folder must be")
        with pytest.raises(Unavailable):
            await fetch([an_order(attempt=LAST_ATTEMPT)])


async def test_a_full_scratch_disk_holds_the_batch(theatre: Theatre, tmp_path: Path) -> None:
    async with fetching(tmp_path, a_source(theatre)) as fetch:
        with a_disk_that_holds(20_000), pytest.raises(Unavailable):
            await fetch([an_order(attempt=LAST_ATTEMPT)])
    assert stored_files(tmp_path) == []


async def test_no_number_link_or_secret_reaches_the_log(
    theatre: Theatre, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theatre.on_audio = refuses(302, {"Location": "http://13800000021.example.com/?Signature=abc"})
    await last_word(tmp_path, a_source(theatre), an_order(attempt=1))
    told = capsys.readouterr().out
    assert "recording.failed" in told
    assert not any(secret in told for secret in ("13800000021", "Signature", "http", SECRET, NAME))
