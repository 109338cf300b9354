"""Huawei's recording download API.

Source: docs/protocols/huawei-privatenumber.md section 6, docs/protocols/huawei-reason-codes.md table G.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from urllib.parse import quote

from schemas.dialect.fields import as_integer
from schemas.dialect.json_body import load_object
from schemas.errors import Malformed, Permanent, Transient
from schemas.platforms.huawei.settings import HuaweiSource
from schemas.platforms.huawei.tokens import signed_headers
from schemas.recording import HttpRequest, RecordingWanted

# The API itself stood at port 12543 (docs/protocols/huawei-privatenumber.md section 6,
# docs/protocols/huawei-voicecall.md section 4); ostor.huawei.com is the recordDomain of the vendor's code samples for
# both products, the other two are those of real CDRs, spelled ostorQH there.
AUDIO_HOSTS: Final = (
    ".myhuaweicloud.com",
    ".myhuaweicloud.com:12543",
    ".huaweicaas.com",
    "ostor.huawei.com",
    "ostorqh.huawei.com",
    "ostorqh2.huawei.com",
)
PATH: Final = "/rest/provision/voice/record/v1.0"

_REDIRECTS: Final = frozenset({301, 302, 307, 308})  # documented: 301
_BUSY_SECONDS: Final = 60.0  # "retry after 1 min"

_NOT_YET: Final = 1012007  # also said of a wrong name, and for good after 7 days: the retry schedule ends it
_BUSY: Final = frozenset({1010010, 1011006})
_INTERNAL: Final = frozenset({1010001, 1023001, 1023002})
_MOST_CODE: Final = 9_999_999  # docs/protocols/huawei-reason-codes.md section G: they have seven digits
_BLOCKED_SECONDS: Final = 1900.0
_REFUSED: Final = frozenset({1010003, 1010040, 1020166, 1020176, 1023006})


def recording_request(
    wanted: RecordingWanted, source: HuaweiSource, *, nonce: str, created: datetime, default_api: str
) -> HttpRequest:
    """The signed GET whose answer names the download address; do not follow its redirect with these headers.

    `nonce` is 1 to 128 alphanumerics, `created` an aware time. `source.recording_api` is scheme and host, and
    `default_api` is the product's own, where the source names none.

    Raises:
        Transient: the source has no app_key or app_secret yet; the operator has days to set them.
        Permanent: the announcement names no file.
    """
    if source.app_key is None or source.app_secret is None:
        raise Transient("the source has no app_key or no app_secret")
    if not wanted.name or not wanted.domain:
        raise Permanent("no file named")
    base = (source.recording_api or default_api).rstrip("/")
    query = f"fileName={quote(wanted.name, safe='')}&recordDomain={quote(wanted.domain, safe='')}"
    signed = signed_headers(
        source.recording_auth,
        username=source.app_key,
        secret=source.app_secret.get_secret_value(),
        nonce=nonce,
        created=created,
    )
    return HttpRequest(
        url=f"{base}{PATH}?{query}",
        headers={"Content-Type": "application/json;charset=UTF-8", **signed},
    )


def recording_location(status: int, headers: Mapping[str, str], body: bytes) -> str:
    """The download address out of the answer: `Location` of a redirect.

    Raises:
        Transient: the record does not exist (yet), the platform is busy, ailing, refuses us, or says what is not
            documented. A refusal (key, white list) is the operator's to mend within the 7 days of retention; it is
            tried again only after the block of about 30 minutes that the codes tell of (table G).
    """
    location = headers.get("location")
    if status in _REDIRECTS and location:
        return location
    code = _result_code(body)
    if code == _NOT_YET:
        raise Transient(f"record does not exist (resultcode {code})")
    if code in _BUSY:
        raise Transient(f"platform busy (resultcode {code})", retry_after=_BUSY_SECONDS)
    if code in _INTERNAL:
        raise Transient(f"platform failed (resultcode {code})")
    if code in _REFUSED or status in (401, 403):
        raise Transient(f"platform refused (HTTP {status}, resultcode {code})", retry_after=_BLOCKED_SECONDS)
    raise Transient(f"platform answered HTTP {status}, resultcode {code}")


def _result_code(body: bytes) -> int | None:
    """None for what is longer than any of them: it may be a number of somebody's, and an error repeats the code."""
    try:
        code = as_integer(load_object(body).get("resultcode"))
    except Malformed:
        return None
    return code if code is not None and 0 <= code <= _MOST_CODE else None
