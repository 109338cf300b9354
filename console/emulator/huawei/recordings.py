"""Huawei's recording API, the same for both of its platforms: docs/protocols/huawei-privatenumber.md section 6."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from console.emulator.audio import is_object_name
from console.emulator.huawei.pushes import RECORD_DOMAIN
from console.emulator.huawei.signing import is_signed
from console.emulator.recordings import Api, Recordings


async def answer(recordings: Recordings, request: web.Request) -> web.Response:
    """301 to the audio host, or JSON with a result code."""
    if "Authorization" not in request.headers:
        return _refuse(recordings, 400, "1023006", "The Authorization header is missing.")
    if not is_signed(request.headers, app_key=recordings.app_key, app_secret=recordings.app_secret):
        return _refuse(recordings, 401, "1020176", "Authentication failed.")
    name, domain = request.query.get("fileName", ""), request.query.get("recordDomain", "")
    if not name or not domain:
        return _refuse(recordings, 400, "1010002", "Invalid request.")
    if not _exists(recordings, name, domain):
        return _error(400, "1012007", "The record does not exist.")
    place = recordings.link(domain, name, host=request.url.host)
    response = web.Response(status=301, headers={"Location": place, "Connection": "close"})
    response.force_close()
    return response


API: Final = Api(
    path="/rest/provision/voice/record/v1.0", answer=answer, auth_headers=("Authorization", "X-AKSK", "X-WSSE")
)


def _exists(recordings: Recordings, name: str, domain: str) -> bool:
    if not is_object_name(name) or domain != RECORD_DOMAIN:
        recordings.faults.append("recording API: asked for a record that was never announced")
        return False
    recordings.asked[name] += 1
    return not recordings.is_missing(name, recordings.asked[name])


def _refuse(recordings: Recordings, status: int, code: str, text: str) -> web.Response:
    recordings.faults.append(f"recording API: {code} {text}")
    return _error(status, code, text)


def _error(status: int, code: str, text: str) -> web.Response:
    return web.json_response({"resultcode": code, "resultdesc": text}, status=status)
