"""The username tokens WSSE and AKSK, by which Huawei signs its pushes and we sign our requests.

Source: docs/protocols/huawei-privatenumber.md sections 0 and 6. The digest of WSSE is over the raw SHA-256, not over
its hex text, which is what the demos of another Huawei product do.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

Digest = Callable[[str, str, str], str]

_PAIR: Final = re.compile(r'(\w+)\s*=\s*"([^"]*)"')
_SCHEME: Final = "usernametoken"


def aksk_digest(nonce: str, created: str, secret: str) -> str:
    """Base64(HMAC-SHA256(key = secret, message = nonce + created))."""
    return _base64(hmac.digest(secret.encode(), (nonce + created).encode(), "sha256"))


def wsse_digest(nonce: str, created: str, secret: str) -> str:
    """Base64(SHA-256(nonce + created + secret))."""
    return _base64(hashlib.sha256((nonce + created + secret).encode()).digest())


DIGESTS: Final[Mapping[str, Digest]] = {"aksk": aksk_digest, "wsse": wsse_digest}


def token_is_right(header: str, digest: Digest, *, username: str | None, secret: str) -> bool:
    """Whether a `UsernameToken ...` header was made with `secret`, by `username` where one is known.

    Spaces around commas and equal signs are tolerated; an unreadable header is wrong, never an error.
    """
    if not header.isascii():
        return False
    scheme, _, rest = header.strip().partition(" ")
    token = dict(_PAIR.findall(rest))
    if scheme.lower() != _SCHEME or not {"Username", "PasswordDigest", "Nonce", "Created"} <= token.keys():
        return False
    expected = digest(token["Nonce"], token["Created"], secret)
    right_digest = _same(token["PasswordDigest"], expected)
    return right_digest and (username is None or _same(token["Username"], username))


def signed_headers(scheme: str, *, username: str, secret: str, nonce: str, created: datetime) -> dict[str, str]:
    """`Authorization` and `X-AKSK` or `X-WSSE` for a request of ours; `scheme` is a key of DIGESTS.

    `nonce` is 1 to 128 alphanumerics; `created` an aware time, written in UTC to the second.
    """
    stamp = created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    digest = DIGESTS[scheme](nonce, stamp, secret)
    name = scheme.upper()
    return {
        "Authorization": f'{name} realm="SDP",profile="UsernameToken",type="Appkey"',
        f"X-{name}": f'UsernameToken Username="{username}",PasswordDigest="{digest}",Nonce="{nonce}",Created="{stamp}"',
    }


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _same(left: str, right: str) -> bool:
    return hmac.compare_digest(left.encode(), right.encode())
