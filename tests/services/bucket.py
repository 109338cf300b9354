"""A bucket that speaks as much of S3 as our client does: signed puts, whole or in parts.

It stands in for moto, which takes a minute to install. Signatures are checked here by AWS's own description ("AWS
Signature Version 4 for Amazon S3", the canonical request and the signing key), so that a wrong one is refused.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Final
from urllib.parse import unquote
from xml.sax.saxutils import escape, unescape

from aiohttp import web
from aiohttp.test_utils import BaseTestServer, TestServer

KEY_ID: Final = "the-key-id"
SECRET: Final = "the-secret"
REGION: Final = "cn-north-4"
PREFIX: Final = "/calls/some/prefix/"
KEYS: Final = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET}

_MOST_BYTES: Final = 64 * 1024 * 1024


@dataclass
class Bucket:
    """Holds `objects` by name below PREFIX; with a `refusal` it answers that status to whatever comes after `takes`."""

    server: BaseTestServer = field(init=False)
    objects: dict[str, bytes] = field(default_factory=dict)
    largest: int = 0  # bytes of the largest request
    takes: int = 0
    refusal: int | None = None
    _uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)
    _ids: count[int] = field(default_factory=count)

    @property
    def url(self) -> str:
        """The address of the object store, as it stands in a config."""
        return f"s3://calls/some/prefix?endpoint=http://127.0.0.1:{self.server.port}&region={REGION}"

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.largest = max(self.largest, len(body))
        if not _signature_is_right(request, body):
            return web.Response(status=403)
        if self.refusal is not None and self.takes == 0:
            return web.Response(status=self.refusal)
        self.takes = max(0, self.takes - 1)
        return self._answer(request, body, unquote(request.rel_url.raw_path).removeprefix(PREFIX))

    def _answer(self, request: web.Request, body: bytes, name: str) -> web.Response:
        upload, part = request.query.get("uploadId"), request.query.get("partNumber")
        if request.method == "POST" and "uploads" in request.query:
            upload = str(next(self._ids))
            self._uploads[upload] = {}
            return _xml(f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>")
        if request.method == "POST" and "delete" in request.query:
            keys = [unescape(key) for key in re.findall(r"<Key>(.*?)</Key>", body.decode())]
            for key in keys:
                self.objects.pop(f"/calls/{key}".removeprefix(PREFIX), None)
            deleted = "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in keys)
            return _xml(f"<DeleteResult>{deleted}</DeleteResult>")
        if request.method == "DELETE":
            self._uploads.pop(upload or "", None)
            return web.Response(status=204)
        if request.method == "HEAD":
            found = self.objects.get(name)
            headers = {"ETag": '"1"', "Last-Modified": "Mon, 12 Oct 2009 17:50:00 GMT"}
            return web.Response(status=404) if found is None else web.Response(body=found, headers=headers)
        if upload is None:
            self.objects[name] = body
        elif part is not None:
            self._uploads[upload][int(part)] = body
        else:
            parts = self._uploads.pop(upload)
            self.objects[name] = b"".join(parts[number] for number in sorted(parts))
            return _xml('<CompleteMultipartUploadResult><ETag>"1"</ETag></CompleteMultipartUploadResult>')
        return web.Response(headers={"ETag": '"1"'})


@asynccontextmanager
async def a_bucket() -> AsyncIterator[Bucket]:
    """One whose server runs until the context ends."""
    bucket = Bucket()
    app = web.Application(client_max_size=_MOST_BYTES)
    app.router.add_route("*", "/{tail:.*}", bucket.take)
    async with TestServer(app) as bucket.server:
        yield bucket


def _xml(text: str) -> web.Response:
    return web.Response(text=text, content_type="application/xml")


def _signature_is_right(request: web.Request, body: bytes) -> bool:
    scheme, _, rest = request.headers.get("Authorization", "").partition(" ")
    given = dict(field.strip().split("=", 1) for field in rest.split(",") if "=" in field)
    _, _, scope = given.get("Credential", "").partition("/")
    expected = f"{request.headers['x-amz-date'][:8]}/{REGION}/s3/aws4_request"
    payload = request.headers["x-amz-content-sha256"]
    if scheme != "AWS4-HMAC-SHA256" or scope != expected or given["Credential"].split("/")[0] != KEY_ID:
        return False
    if payload not in ("UNSIGNED-PAYLOAD", hashlib.sha256(body).hexdigest()):
        return False
    names = given["SignedHeaders"].split(";")
    query = sorted(pair if "=" in pair else f"{pair}=" for pair in request.rel_url.raw_query_string.split("&") if pair)
    canonical = "\n".join([
        request.method, request.rel_url.raw_path, "&".join(query),
        *(f"{name}:{request.headers[name].strip()}" for name in names), "", ";".join(names), payload,
    ])  # fmt: skip
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    signed = f"AWS4-HMAC-SHA256\n{request.headers['x-amz-date']}\n{scope}\n{hashed}"
    key = f"AWS4{SECRET}".encode()
    for word in scope.split("/"):
        key = hmac.digest(key, word.encode(), "sha256")
    return hmac.compare_digest(hmac.digest(key, signed.encode(), "sha256").hex(), given["Signature"])
