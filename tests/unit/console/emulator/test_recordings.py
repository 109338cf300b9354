from __future__ import annotations

import base64
import hashlib
import hmac
import struct
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import aiohttp
import pytest

from console.emulator.acts import APIS
from console.emulator.aliyun.recordings import announce
from console.emulator.aliyun.signing import rpc_signature
from console.emulator.audio import MAX_BYTES, alaw, make_mp3, make_wav
from console.emulator.huawei.pushes import RECORD_DOMAIN
from console.emulator.huawei.recordings import API
from console.emulator.huawei.signing import headers
from console.emulator.recordings import Recordings, serve_recordings

NONCE, CREATED = "a1b2c3", "2026-11-21T02:30:03Z"
SECRET = "sesame"


def a_name(recordings: Recordings, mood: str) -> str:
    names = (f"261121023003{number:07d}0042.wav" for number in range(1000))
    return next(name for name in names if recordings.mood(name) == mood)


def auth(sign: str = "aksk", secret: str = SECRET) -> dict[str, str]:
    return headers(sign, app_key="KEY", app_secret=secret, nonce=NONCE, created=CREATED)


class Hosts:
    def __init__(self, recordings: Recordings, session: aiohttp.ClientSession, base: str) -> None:
        self.recordings, self.session, self.base = recordings, session, base

    async def ask(self, name: str, sent: dict[str, str]) -> aiohttp.ClientResponse:
        query = {"fileName": name, "recordDomain": RECORD_DOMAIN}
        url = self.base + API.path
        async with self.session.get(url, params=query, headers=sent, allow_redirects=False) as answer:
            await answer.read()
            return answer

    async def fetch(self, place: str, sent: dict[str, str] | None = None) -> tuple[int, bytes]:
        async with self.session.get(place, headers=sent) as answer:
            return answer.status, await answer.read()


@pytest.fixture
async def hosts() -> AsyncIterator[Hosts]:
    recordings = Recordings(seed=1, app_key="KEY", app_secret=SECRET, apis=APIS)
    async with serve_recordings(recordings) as base, aiohttp.ClientSession() as session:
        yield Hosts(recordings, session, base)


def test_the_digests_agree_with_the_formulas_of_the_page() -> None:
    text = (NONCE + CREATED).encode()
    aksk = base64.b64encode(hmac.digest(SECRET.encode(), text, "sha256")).decode()
    wsse = base64.b64encode(hashlib.sha256(text + SECRET.encode()).digest()).decode()
    token = 'UsernameToken Username="KEY",PasswordDigest="{}",Nonce="a1b2c3",Created="2026-11-21T02:30:03Z"'
    realm = 'realm="SDP",profile="UsernameToken",type="Appkey"'
    assert auth("aksk") == {"Authorization": f"AKSK {realm}", "X-AKSK": token.format(aksk)}
    assert auth("wsse") == {"Authorization": f"WSSE {realm}", "X-WSSE": token.format(wsse)}
    assert auth("none") == {}


@pytest.mark.parametrize("sign", ["aksk", "wsse"])
async def test_a_signed_request_is_sent_to_the_audio_on_another_origin(hosts: Hosts, sign: str) -> None:
    name = a_name(hosts.recordings, "prompt")
    answer = await hosts.ask(name, auth(sign))
    assert (answer.status, answer.headers["Content-Length"], answer.headers["Connection"]) == (301, "0", "close")
    place = answer.headers["Location"]
    assert not place.startswith(hosts.base)
    assert await hosts.fetch(place) == (200, make_wav(1, name))
    assert hosts.recordings.faults == []


async def test_a_wrong_digest_is_refused_and_counted(hosts: Hosts) -> None:
    answer = await hosts.ask(a_name(hosts.recordings, "prompt"), auth(secret="wrong"))
    assert answer.status == 401
    assert set(await answer.json()) == {"resultcode", "resultdesc"}
    assert len(hosts.recordings.faults) == 1


async def test_a_request_without_auth_is_refused(hosts: Hosts) -> None:
    answer = await hosts.ask(a_name(hosts.recordings, "prompt"), {})
    assert (answer.status, (await answer.json())["resultcode"]) == (400, "1023006")


@pytest.mark.parametrize(("mood", "times"), [("late", 1), ("later", 2)])
async def test_a_late_record_does_not_exist_at_first(hosts: Hosts, mood: str, times: int) -> None:
    name = a_name(hosts.recordings, mood)
    for _ in range(times):
        answer = await hosts.ask(name, auth())
        assert await answer.json() == {"resultcode": "1012007", "resultdesc": "The record does not exist."}
    assert (await hosts.ask(name, auth())).status == 301


@pytest.mark.parametrize(("mood", "begin"), [("html", b"<html>"), ("json", b'{"resultcode"')])
async def test_an_error_body_with_200_comes_once_in_place_of_audio(hosts: Hosts, mood: str, begin: bytes) -> None:
    name = a_name(hosts.recordings, mood)
    place = (await hosts.ask(name, auth())).headers["Location"]
    status, body = await hosts.fetch(place)
    assert (status, body.startswith(begin)) == (200, True)
    assert await hosts.fetch(place) == (200, make_wav(1, name))


async def test_platform_auth_at_the_audio_host_is_a_fault(hosts: Hosts) -> None:
    place = (await hosts.ask(a_name(hosts.recordings, "prompt"), auth())).headers["Location"]
    status, _ = await hosts.fetch(place, {"X-AKSK": auth()["X-AKSK"]})
    assert status == 400
    assert hosts.recordings.faults == ["audio host: platform auth arrived in X-AKSK"]


async def test_a_link_without_its_query_opens_nothing(hosts: Hosts) -> None:
    place = (await hosts.ask(a_name(hosts.recordings, "prompt"), auth())).headers["Location"]
    status, _ = await hosts.fetch(place.partition("?")[0])
    assert (status, len(hosts.recordings.faults)) == (403, 1)


def test_the_wav_is_a_law_mono_at_8_khz_and_consistent() -> None:
    wav = make_wav(1, "26112102300300000010003.wav")
    assert wav[:4] + wav[8:16] == b"RIFFWAVEfmt "
    assert struct.unpack("<I", wav[4:8])[0] == len(wav) - 8
    assert struct.unpack("<HHIIHHH", wav[20:38]) == (6, 1, 8000, 8000, 1, 8, 0)
    assert (wav[38:42], struct.unpack("<II", wav[42:50])) == (b"fact", (4, 24000))
    assert (wav[50:54], struct.unpack("<I", wav[54:58])) == (b"data", (24000,))
    assert len(wav) == 58 + 24000
    assert wav == make_wav(1, "26112102300300000010003.wav") != make_wav(2, "26112102300300000010003.wav")
    assert len(make_wav(1, "26112102300300000010200.wav")) == MAX_BYTES


def test_a_law_agrees_with_the_standard_library() -> None:
    """As told by audioop of Python 3.11, which is gone from 3.13: lin2alaw of these samples, as its digest."""
    told = "2521515217f92fc4e89034990f0365f6893c61332f18eb6b0a16e5652720798a"
    assert hashlib.sha256(bytes(map(alaw, range(-32768, 32768, 7)))).hexdigest() == told


CALLED_AT = datetime(2026, 11, 21, 2, 30, 3, tzinfo=UTC)


def a_link_name(recordings: Recordings, mood: str) -> str:
    names = (f"{number:032x}.mp3" for number in range(1000))
    return next(name for name in names if recordings.mood(name) == mood)


def a_query(**changes: str) -> dict[str, str]:
    params = {
        "AccessKeyId": "KEY", "Action": "QueryRecordFileDownloadUrl", "CallId": "c1", "PoolKey": "FC1",
        "CallTime": "2026-11-21 10:30:03", "Format": "JSON", "SignatureMethod": "HMAC-SHA1", "SignatureNonce": "n",
        "SignatureVersion": "1.0", "Timestamp": "2026-11-21T02:31:00Z", "Version": "2017-05-25",
    }  # fmt: skip
    params |= changes
    return {**params, "Signature": params.get("Signature") or rpc_signature(params, secret=SECRET)}


async def test_aliyuns_api_names_the_address_of_a_call_that_was_announced(hosts: Hosts) -> None:
    name = a_link_name(hosts.recordings, "prompt")
    announce(hosts.recordings, name, pool_key="FC1", call_id="c1", called_at=CALLED_AT)
    async with hosts.session.get(f"{hosts.base}/", params=a_query()) as answer:
        told = await answer.json()
    assert told["Code"] == "OK"
    assert await hosts.fetch(told["DownloadUrl"]) == (200, make_mp3(1, name))
    assert hosts.recordings.faults == []


@pytest.mark.parametrize(
    "changes",
    [
        {"Signature": "wrong"},
        {"AccessKeyId": "OTHER"},
        {"Action": "QueryOther"},
        {"CallId": "c2"},
        {"CallTime": "2026-11-21 02:30:03"},
    ],
)
async def test_aliyuns_api_refuses_what_is_not_right(hosts: Hosts, changes: dict[str, str]) -> None:
    name = a_link_name(hosts.recordings, "prompt")
    announce(hosts.recordings, name, pool_key="FC1", call_id="c1", called_at=CALLED_AT)
    async with hosts.session.get(f"{hosts.base}/", params=a_query(**changes)) as answer:
        assert (await answer.json())["Code"] != "OK"
    assert len(hosts.recordings.faults) == 1


def test_the_rpc_signature_is_variant_c_of_the_worked_example() -> None:
    params = {
        "callId": "8f3c2b1a9d7e4c60", "callNo": "13800000001", "callTime": "20240305140708", "format": "JSON",
        "recordType": "CAL", "secretNo": "17000000002", "signatureMethod": "HMAC-SHA1",
        "signatureNonce": "0f6e5b0c-6a1e-4f6b-9d0a-2b7c1f1e9a10", "signatureVersion": "1.0",
        "timestamp": "2024-03-05T06:07:08Z",
    }  # fmt: skip
    assert rpc_signature(params, secret="demo-secret-not-real", method="POST") == "jalg0KPtiRDU6tP5GqD1BIZ+buM="


async def test_a_link_opens_a_late_file_in_the_end(hosts: Hosts) -> None:
    name = a_link_name(hosts.recordings, "later")
    place = hosts.recordings.audio_url(name)
    statuses = [(await hosts.fetch(place))[0] for _ in range(3)]
    assert statuses == [404, 404, 200]
    assert hosts.recordings.faults == []


async def test_a_link_that_was_never_given_out_is_a_fault(hosts: Hosts) -> None:
    name = a_link_name(hosts.recordings, "prompt")
    place = hosts.recordings.audio_url(name)
    hosts.recordings.linked.clear()
    assert (await hosts.fetch(place))[0] == 403
    assert len(hosts.recordings.faults) == 1
