"""The audio host that every platform's recordings lie at, and beside it each platform's own recording API."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlencode

from aiohttp import web

from console.emulator.audio import digest_of, is_link_name, is_object_name, make_audio

EXPIRES = "4102444800"
CHUNK_BYTES = 4096
LINK_DOMAIN = "audio"
# Moods of object names, by share in percent; the rest is served at once.
MOODS = (("late", 12), ("later", 5), ("html", 4), ("json", 4))
TIMES_MISSING = {"late": 1, "later": 2}


@dataclass(frozen=True, kw_only=True)
class Api:
    """A platform's recording API: where it is asked, what answers, and the headers that carry its requests' auth."""

    path: str
    answer: Callable[[Recordings, web.Request], Awaitable[web.Response]]
    auth_headers: tuple[str, ...] = ()


@dataclass(kw_only=True)
class Recordings:
    """Everything the hosts know: what they serve follows from seed and object name alone.

    `announced`: the file that an API finds by these words, where its name alone does not say so.
    """

    seed: int
    app_key: str
    app_secret: str = field(repr=False)
    faults: list[str] = field(default_factory=list)
    host: str = "127.0.0.1"
    audio_port: int = 0
    apis: Sequence[Api] = ()
    announced: dict[tuple[str, ...], str] = field(default_factory=dict)
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
        return self.link(LINK_DOMAIN, name)

    def audio_digest(self, name: str) -> dict[str, str | int]:
        """What a stored copy must be."""
        return digest_of(make_audio(self.seed, name))

    def link(self, domain: str, name: str, *, host: str | None = None) -> str:
        """A link that opens a file at the audio host for whoever has it."""
        path = f"/{domain}/{name}"
        query = {"AccessKeyId": "EMULATED", "Expires": EXPIRES, "Signature": self.signature(path)}
        return f"http://{host or self.host}:{self.audio_port}{path}?{urlencode(query)}"

    def is_missing(self, name: str, times: int) -> bool:
        """Whether a file has not appeared yet when it is sought for the `times`-th time."""
        return times <= TIMES_MISSING.get(self.mood(name), 0)

    async def download(self, request: web.Request) -> web.StreamResponse:
        """The audio itself; the link alone opens it, and our platform auth has no business here."""
        names = dict.fromkeys(name for api in self.apis for name in api.auth_headers)
        leaked = [name for name in names if name in request.headers]
        if leaked:
            self.faults.append(f"audio host: platform auth arrived in {', '.join(leaked)}")
            return web.Response(status=400)
        name = request.match_info["name"]
        if not (is_object_name(name) or name in self.linked) or not self._opens(request):
            self.faults.append("audio host: a link with a wrong name or signature")
            return web.Response(status=403)
        self.fetched[name] += 1
        if is_link_name(name) and self.is_missing(name, self.fetched[name]):
            return web.Response(status=404)  # the file appears with delay
        mood = self.mood(name) if self.fetched[name] == 1 else "prompt"
        if mood == "html":
            return web.Response(text="<html><body>Service busy</body></html>", content_type="text/html")
        if mood == "json":
            return web.json_response({"resultcode": "1010010", "resultdesc": "Flow control."})
        return await _stream(request, make_audio(self.seed, name))

    def _opens(self, request: web.Request) -> bool:
        given = request.query.get("Signature", "")
        return hmac.compare_digest(given.encode(), self.signature(request.path).encode())


async def _stream(request: web.Request, wav: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "audio/x-wav", "Content-Length": str(len(wav))})
    await response.prepare(request)
    for begin in range(0, len(wav), CHUNK_BYTES):
        await response.write(wav[begin : begin + CHUNK_BYTES])
    await response.write_eof()
    return response


@asynccontextmanager
async def serve_recordings(recordings: Recordings, *, listen: str = "127.0.0.1:0") -> AsyncIterator[str]:
    """Serve the audio and all APIs while the context is open, and yield the APIs' base URL."""
    host, _, port = listen.rpartition(":")
    recordings.host = host
    api, audio = web.Application(), web.Application()
    for one in recordings.apis:
        api.router.add_get(one.path, partial(one.answer, recordings))
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
