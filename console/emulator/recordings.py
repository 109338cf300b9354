"""The recording APIs and the audio host behind them.

Huawei's (docs/protocols/huawei-privatenumber.md section 6, the same for VoiceCall) redirects; Aliyun's
(docs/protocols/aliyun-pnp.md section 6) answers with an address; Jiuyun gives out links to the audio host itself.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlencode

from aiohttp import web

from console.emulator.aliyun.signing import rpc_signature
from console.emulator.audio import is_link_name, is_object_name, make_audio
from console.emulator.huawei.privatenumber.calls import BEIJING_AHEAD
from console.emulator.huawei.privatenumber.payloads import RECORD_DOMAIN
from console.emulator.huawei.signing import is_signed

API_PATH = "/rest/provision/voice/record/v1.0"
AUTH_HEADERS = ("Authorization", "X-AKSK", "X-WSSE")
EXPIRES = "4102444800"
CHUNK_BYTES = 4096
LINK_DOMAIN = "audio"
# Moods of object names, by share in percent; the rest is served at once.
MOODS = (("late", 12), ("later", 5), ("html", 4), ("json", 4))
TIMES_MISSING = {"late": 1, "later": 2}


@dataclass(kw_only=True)
class Recordings:
    """Everything the two hosts know: what they serve follows from seed and object name alone."""

    seed: int
    app_key: str
    app_secret: str = field(repr=False)
    faults: list[str] = field(default_factory=list)
    host: str = "127.0.0.1"
    audio_port: int = 0
    announced: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    linked: set[str] = field(default_factory=set)
    asked: Counter[str] = field(default_factory=Counter)
    fetched: Counter[str] = field(default_factory=Counter)

    def mood(self, name: str) -> str:
        """How the hosts treat this name: prompt, late, later, html or json."""
        left = int.from_bytes(hashlib.sha256(f"{self.seed}:mood:{name}".encode()).digest()[:4]) % 100
        for mood, share in MOODS:
            if left < share:
                return mood
            left -= share
        return "prompt"

    def signature(self, path: str) -> str:
        """The signature in a download link, in the manner of an object store."""
        key = f"{self.seed}:{self.app_secret}".encode()
        return base64.b64encode(hmac.new(key, f"{path}\n{EXPIRES}".encode(), hashlib.sha256).digest()).decode()

    def audio_url(self, name: str) -> str:
        """A link that opens a file by itself; announced from then on."""
        self.linked.add(name)
        return self._link(f"/{LINK_DOMAIN}/{name}")

    def audio_digest(self, name: str) -> dict[str, str | int]:
        """What a stored copy must be."""
        audio = make_audio(self.seed, name)
        return {"sha256": hashlib.sha256(audio).hexdigest(), "bytes": len(audio)}

    def announce_call(self, call_id: str, pool_key: str, called_at: datetime, name: str) -> None:
        """Let Aliyun's API know a call's recording: by pool, call id and the Beijing time of the call."""
        spelled = f"{called_at + BEIJING_AHEAD:%Y-%m-%d %H:%M:%S}"
        self.announced[pool_key, call_id] = (spelled, name)

    async def answer_aliyun(self, request: web.Request) -> web.Response:
        """QueryRecordFileDownloadUrl: the address is in the body; signed as RPC calls are."""
        params = dict(request.query)
        if params.get("AccessKeyId") != self.app_key:
            return self._refuse_aliyun(404, "InvalidAccessKeyId.NotFound")
        right = rpc_signature(params, secret=self.app_secret)
        if not hmac.compare_digest(right.encode(), params.get("Signature", "").encode()):
            return self._refuse_aliyun(400, "SignatureDoesNotMatch")
        action, version = params.get("Action"), params.get("Version")
        if (action, version) != ("QueryRecordFileDownloadUrl", "2017-05-25"):
            return self._refuse_aliyun(404, "InvalidAction.NotFound")
        called_at, name = self.announced.get((params.get("PoolKey", ""), params.get("CallId", "")), ("", ""))
        if not name or params.get("CallTime") != called_at:
            return self._refuse_aliyun(200, "isv.RECORD_UNKNOWN")
        return web.json_response({"Code": "OK", "Message": "OK", "DownloadUrl": self.audio_url(name)})

    async def answer(self, request: web.Request) -> web.Response:
        """301 to the audio host, or JSON with a result code."""
        if "Authorization" not in request.headers:
            return self._refuse(400, "1023006", "The Authorization header is missing.")
        if not is_signed(request.headers, app_key=self.app_key, app_secret=self.app_secret):
            return self._refuse(401, "1020176", "Authentication failed.")
        name, domain = request.query.get("fileName", ""), request.query.get("recordDomain", "")
        if not name or not domain:
            return self._refuse(400, "1010002", "Invalid request.")
        if not self._exists(name, domain):
            return _error(400, "1012007", "The record does not exist.")
        return self._redirect(request, f"/{domain}/{name}")

    async def download(self, request: web.Request) -> web.StreamResponse:
        """The audio itself; the link alone opens it, and our platform auth has no business here."""
        leaked = [header for header in AUTH_HEADERS if header in request.headers]
        if leaked:
            self.faults.append(f"audio host: platform auth arrived in {', '.join(leaked)}")
            return web.Response(status=400)
        name = request.match_info["name"]
        if not (is_object_name(name) or name in self.linked) or not self._opens(request):
            self.faults.append("audio host: a link with a wrong name or signature")
            return web.Response(status=403)
        self.fetched[name] += 1
        if is_link_name(name) and self.fetched[name] <= TIMES_MISSING.get(self.mood(name), 0):
            return web.Response(status=404)  # the file appears with delay
        mood = self.mood(name) if self.fetched[name] == 1 else "prompt"
        if mood == "html":
            return web.Response(text="<html><body>Service busy</body></html>", content_type="text/html")
        if mood == "json":
            return _error(200, "1010010", "Flow control.")
        return await _stream(request, make_audio(self.seed, name))

    def _exists(self, name: str, domain: str) -> bool:
        if not is_object_name(name) or domain != RECORD_DOMAIN:
            self.faults.append("recording API: asked for a record that was never announced")
            return False
        self.asked[name] += 1
        return self.asked[name] > TIMES_MISSING.get(self.mood(name), 0)

    def _redirect(self, request: web.Request, path: str) -> web.Response:
        place = self._link(path, host=request.url.host)
        response = web.Response(status=301, headers={"Location": place, "Connection": "close"})
        response.force_close()
        return response

    def _link(self, path: str, *, host: str | None = None) -> str:
        query = {"AccessKeyId": "EMULATED", "Expires": EXPIRES, "Signature": self.signature(path)}
        return f"http://{host or self.host}:{self.audio_port}{path}?{urlencode(query)}"

    def _refuse_aliyun(self, status: int, code: str) -> web.Response:
        self.faults.append(f"download-address API: {code}")
        return web.json_response({"Code": code, "Message": code}, status=status)

    def _opens(self, request: web.Request) -> bool:
        given = request.query.get("Signature", "")
        return hmac.compare_digest(given.encode(), self.signature(request.path).encode())

    def _refuse(self, status: int, code: str, text: str) -> web.Response:
        self.faults.append(f"recording API: {code} {text}")
        return _error(status, code, text)


def _error(status: int, code: str, text: str) -> web.Response:
    return web.json_response({"resultcode": code, "resultdesc": text}, status=status)


async def _stream(request: web.Request, wav: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "audio/x-wav", "Content-Length": str(len(wav))})
    await response.prepare(request)
    for begin in range(0, len(wav), CHUNK_BYTES):
        await response.write(wav[begin : begin + CHUNK_BYTES])
    await response.write_eof()
    return response


@asynccontextmanager
async def serve_recordings(recordings: Recordings, *, listen: str = "127.0.0.1:0") -> AsyncIterator[str]:
    """Serve both hosts while the context is open, and yield the API's base URL."""
    host, _, port = listen.rpartition(":")
    recordings.host = host
    api, audio = web.Application(), web.Application()
    api.router.add_get(API_PATH, recordings.answer)
    api.router.add_get("/", recordings.answer_aliyun)
    audio.router.add_get("/{domain}/{name}", recordings.download)
    async with _listening(audio, host, 0) as recordings.audio_port, _listening(api, host, int(port)) as bound:
        yield f"http://{host}:{bound}"


@asynccontextmanager
async def _listening(app: web.Application, host: str, port: int) -> AsyncIterator[int]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
