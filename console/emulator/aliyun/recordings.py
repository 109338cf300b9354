"""Aliyun's QueryRecordFileDownloadUrl: docs/protocols/aliyun-pnp.md section 6."""

from __future__ import annotations

import hmac
from datetime import datetime
from typing import Final

from aiohttp import web

from console.emulator.aliyun.signing import rpc_signature
from console.emulator.moments import beijing
from console.emulator.recordings import Api, Recordings


def announce(recordings: Recordings, name: str, *, pool_key: str, call_id: str, called_at: datetime) -> None:
    """Let the API know a call's recording: by pool, call id and the Beijing time of the call."""
    recordings.announced[pool_key, call_id, beijing(called_at)] = name


async def answer(recordings: Recordings, request: web.Request) -> web.Response:
    """The address is in the body; the query is signed as RPC calls are."""
    params = dict(request.query)
    if params.get("AccessKeyId") != recordings.app_key:
        return _refuse(recordings, 404, "InvalidAccessKeyId.NotFound")
    right = rpc_signature(params, secret=recordings.app_secret)
    if not hmac.compare_digest(right.encode(), params.get("Signature", "").encode()):
        return _refuse(recordings, 400, "SignatureDoesNotMatch")
    if (params.get("Action"), params.get("Version")) != ("QueryRecordFileDownloadUrl", "2017-05-25"):
        return _refuse(recordings, 404, "InvalidAction.NotFound")
    name = recordings.announced.get(tuple(params.get(part, "") for part in ("PoolKey", "CallId", "CallTime")))
    if name is None:
        return _refuse(recordings, 200, "isv.RECORD_UNKNOWN")
    return web.json_response({"Code": "OK", "Message": "OK", "DownloadUrl": recordings.audio_url(name)})


API: Final = Api(path="/", answer=answer)


def _refuse(recordings: Recordings, status: int, code: str) -> web.Response:
    recordings.faults.append(f"download-address API: {code}")
    return web.json_response({"Code": code, "Message": code}, status=status)
