"""Aliyun's QueryRecordFileDownloadUrl: docs/protocols/aliyun-pnp.md section 6, signed as RPC calls are (section 2)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from schemas.dialect.fields import text
from schemas.dialect.json_body import load_object
from schemas.dialect.times import BEIJING
from schemas.envelope import JsonObject
from schemas.errors import Malformed, Permanent, Transient
from schemas.platforms.aliyun.fields import https
from schemas.platforms.aliyun.settings import AliyunSource
from schemas.platforms.aliyun.signature import rfc3986, rpc_signature
from schemas.recording import HttpRequest, RecordingWanted

DEFAULT_API: Final = "https://dyplsapi.aliyuncs.com"

_NOT_READY_SECONDS: Final = 300.0  # section 4.1: ready 15 to 20 minutes after the call
_BUSY_SECONDS: Final = 60.0
_REFUSED_SECONDS: Final = 1900.0  # an hour's tier: the operator has 30 days to mend a key
_OK: Final = "OK"
_SERVER_FAILED: Final = 500
_REFUSALS: Final = frozenset({401, 403})

# Codes of this call were not found; these beginnings are those of Alibaba Cloud's common errors [inferred].
_REFUSED: Final = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "Forbidden", "NoPermission", "isv.RAM_PERMISSION")
_BUSY: Final = ("Throttling", "ServiceUnavailable")
_CODE: Final = re.compile(r"[A-Za-z][A-Za-z._-]{0,60}")  # without figures, so that an error can name it


def recording_request(wanted: RecordingWanted, source: AliyunSource, *, nonce: str, created: datetime) -> HttpRequest:
    """The signed GET whose answer names the download address.

    app_key and app_secret are the AccessKey's id and secret, `name` the call id, `domain` the pool key, `called_at`
    the moment of the call, sent as Beijing time. The signature is in the address. `source.recording_api` is scheme
    and host.

    Raises:
        Transient: the source has no app_key or app_secret yet; the operator has days to set them.
        Permanent: the announcement lacks call id, pool key or moment.
    """
    if not wanted.name or not wanted.domain:
        raise Permanent("no file named")
    if wanted.called_at is None:
        raise Permanent("no time of call announced")
    if source.app_key is None or source.app_secret is None:
        raise Transient("the source has no app_key or no app_secret")
    params = {
        "AccessKeyId": source.app_key,
        "Action": "QueryRecordFileDownloadUrl",
        "CallId": wanted.name,
        "CallTime": f"{wanted.called_at.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}",
        "Format": "JSON",
        "PoolKey": wanted.domain,
        "SignatureMethod": "HMAC-SHA1",
        "SignatureNonce": nonce,
        "SignatureVersion": "1.0",
        "Timestamp": f"{created.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "Version": "2017-05-25",
    }
    params["Signature"] = rpc_signature(params, source.app_secret.get_secret_value(), method="GET")
    query = "&".join(f"{name}={rfc3986(value)}" for name, value in sorted(params.items()))
    return HttpRequest(url=f"{(source.recording_api or DEFAULT_API).rstrip('/')}/?{query}")


def recording_location(status: int, _: Mapping[str, str], body: bytes) -> str:
    """The DownloadUrl of an answer whose Code is OK.

    Raises:
        Transient: not there yet, the platform is busy, ailing, refuses us, or says what is not documented. The
            retry schedule ends it; a refusal (key, permission) is the operator's to mend within the 30 days that
            files are kept.
    """
    response = _response(body)
    code = text(response, "Code") or ""
    if code == _OK:
        return _download_url(response)
    named = code if _CODE.fullmatch(code) else "none known"
    if code.startswith(_BUSY):
        raise Transient(f"platform busy ({named})", retry_after=_BUSY_SECONDS)
    if code.startswith(_REFUSED) or status in _REFUSALS:
        raise Transient(f"platform refused (HTTP {status}, code {named})", retry_after=_REFUSED_SECONDS)
    if status >= _SERVER_FAILED:
        raise Transient(f"platform failed (HTTP {status}, code {named})")
    raise Transient(f"record not ready (HTTP {status}, code {named})", retry_after=_NOT_READY_SECONDS)


def _download_url(response: JsonObject) -> str:
    url = text(response, "DownloadUrl")
    if url is None:
        raise Transient("record not ready (no DownloadUrl)", retry_after=_NOT_READY_SECONDS)
    return https(url)


def _response(body: bytes) -> JsonObject:
    try:
        return load_object(body)
    except Malformed:
        return {}
