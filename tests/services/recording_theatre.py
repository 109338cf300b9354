"""A stage for recordings: the platform's API and an audio host as real servers on loopback, and work orders."""

from __future__ import annotations

import base64
import hmac
import re
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web
from aiohttp.test_utils import BaseTestServer, TestServer
from pydantic import SecretStr

from schemas.envelope import Envelope, Kind
from schemas.errors import Transient
from schemas.facts import Fact, Recording
from schemas.platforms import DIALECTS
from schemas.platforms.huawei.privatenumber.settings import PrivateNumberSource
from schemas.recording import RecordingWanted
from schemas.settings.addresses import objects_address
from schemas.settings.source import Source
from schemas.stage import Failed, Handler
from tests.building.pushes import fact_in
from workers.fetch_recording import open_fetch_recording
from workers.objects import open_objects
from workers.outside.download import SETTLING_SECONDS

NOW = datetime(2026, 11, 21, 9, 0, 0, tzinfo=UTC)
AT = datetime(2026, 11, 20, 23, 30, 0, tzinfo=UTC)
SECRET = "app-secret"
NAME = "19012402300612050118304.wav"
KEY = "7b6c1f0e-0000-5000-8000-000000000001"
LAST_ATTEMPT = 3
MOST_BYTES = 300_000

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def a_wav(seconds: int) -> bytes:
    """A-law, 8 kHz, mono, as the platform's page says."""
    data = bytes(range(256)) * (seconds * 8000 // 256) + bytes(seconds * 8000 % 256)
    head = struct.pack("<HHIIHH", 6, 1, 8000, 8000, 1, 8) + b"\0\0"
    chunks = b"fmt " + struct.pack("<I", len(head)) + head + b"LIST\x03\0\0\0abc\0data" + struct.pack("<I", len(data))
    return b"RIFF" + struct.pack("<I", 4 + len(chunks) + len(data)) + b"WAVE" + chunks + data


WAV = a_wav(12)


@dataclass
class Theatre:
    """Two real servers: the platform's API, and the host that its answer leads to."""

    api: BaseTestServer = field(init=False)
    audio: BaseTestServer = field(init=False)
    asked: list[web.Request] = field(default_factory=list)
    fetched: list[web.Request] = field(default_factory=list)
    not_yet: int = 0
    on_audio: Answer = field(init=False)
    on_api: Answer | None = None

    def __post_init__(self) -> None:
        self.on_audio = serves(WAV)

    @property
    def location(self) -> str:
        return f"http://localhost:{self.audio.port}/files/{NAME}?Signature=a%2Fb%3D"

    async def answer_api(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        if self.on_api:
            return await self.on_api(request)
        if not signed_right(request) or request.query["recordDomain"] != "ostor.example.com":
            return web.json_response({"resultcode": "1020176", "resultdesc": "auth failed"}, status=403)
        if len(self.asked) <= self.not_yet:
            return web.json_response({"resultcode": "1012007", "resultdesc": "The record does not exist."})
        return web.Response(status=301, headers={"Location": self.location})

    async def answer_audio(self, request: web.Request) -> web.StreamResponse:
        self.fetched.append(request)
        return await self.on_audio(request)


def signed_right(request: web.Request) -> bool:
    """The digest by docs/protocols/huawei-privatenumber.md section 6 (AKSK)."""
    token = dict(re.findall(r'(\w+)="([^"]*)"', request.headers["X-AKSK"]))
    digest = hmac.digest(SECRET.encode(), (token["Nonce"] + token["Created"]).encode(), "sha256")
    expected = ("app-key", base64.b64encode(digest).decode())
    return (token["Username"], token["PasswordDigest"]) == expected


def serves(body: bytes, content_type: str = "audio/wav") -> Answer:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type=content_type)

    return answer


def refuses(status: int, headers: dict[str, str] | None = None) -> Answer:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, headers=headers)

    return answer


@asynccontextmanager
async def open_theatre() -> AsyncIterator[Theatre]:
    played = Theatre()
    api, audio = web.Application(), web.Application()
    api.router.add_get("/rest/provision/voice/record/v1.0", played.answer_api)
    audio.router.add_get("/{tail:.*}", played.answer_audio)
    async with TestServer(api) as played.api, TestServer(audio) as played.audio:
        yield played


def a_source(theatre: Theatre, **changes: Any) -> PrivateNumberSource:
    fields: dict[str, Any] = {
        "name": "huawei-bj",
        "platform": "huawei_privatenumber",
        "tokens": (SecretStr("t"),),
        "app_key": "app-key",
        "app_secret": SecretStr(SECRET),
        "recording_api": f"http://127.0.0.1:{theatre.api.port}",
        "recording_hosts": (f"localhost:{theatre.audio.port}",),
        "allow_private": True,
    }
    return PrivateNumberSource(**{**fields, **changes})


@asynccontextmanager
async def fetching(
    root: Path,
    source: Source,
    *,
    objects: str | None = None,
    last_attempt: int = LAST_ATTEMPT,
    settling_seconds: float = SETTLING_SECONDS,
) -> AsyncIterator[Handler]:
    scratch = root / "scratch"
    scratch.mkdir(exist_ok=True)
    async with open_fetch_recording(
        sources=[source],
        dialects=DIALECTS,
        objects=open_objects(objects_address(objects or f"file:{root / 'objects'}")),
        last_attempt=last_attempt,
        clock=lambda: NOW,
        nonce=lambda: "nonce1",
        most_bytes=MOST_BYTES,
        scratch=scratch,
        settling_seconds=settling_seconds,
    ) as handler:
        yield handler
    assert list(scratch.iterdir()) == []


def an_order(attempt: int = 1, **changes: Any) -> Envelope:
    row: dict[str, Any] = {"name": NAME, "domain": "ostor.example.com", **changes}
    wanted = RecordingWanted(call_id="huawei-bj:s1", session_id="s1", key=row.pop("key", KEY), **row)
    return Envelope(
        id="order-1",
        kind=Kind.RECORDING_WANTED,
        source="huawei-bj",
        at=AT,
        body=orjson.loads(orjson.dumps(wanted)),
        attempt=attempt,
        trace="00-aa-bb-01",
    )


def the_fact(outcome: Envelope | Failed) -> Fact:
    assert isinstance(outcome, Envelope)
    assert isinstance(outcome.body, bytes)
    assert (outcome.kind, outcome.source, outcome.trace, outcome.attempt) == (
        Kind.FACT, "huawei-bj", "00-aa-bb-01", 1,
    )  # fmt: skip
    fact = fact_in(orjson.loads(outcome.body))
    assert fact.id == outcome.id
    return fact


def the_recording(outcome: Envelope | Failed) -> Recording:
    body = the_fact(outcome).body
    assert isinstance(body, Recording)
    return body


def the_retry(outcome: Envelope | Failed) -> Transient:
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, Transient)
    return outcome.error


def stored_files(root: Path) -> list[str]:
    objects = root / "objects"
    return sorted(str(path.relative_to(objects)) for path in objects.rglob("*") if path.is_file())


async def last_word(root: Path, source: Source, order: Envelope | None = None) -> str | None:
    """The reason with which the last attempt ends; nothing may have been stored."""
    async with fetching(root, source) as fetch:
        (outcome,) = await fetch([order or an_order(attempt=LAST_ATTEMPT)])
    recording = the_recording(outcome)
    assert (recording.key, recording.state, recording.place) == (order_key(order), "failed", None)
    assert stored_files(root) == []
    return recording.reason


def order_key(order: Envelope | None) -> str:
    body = order.body if order else {"key": KEY}
    assert isinstance(body, dict)
    return str(body["key"])
