"""The username tokens WSSE and AKSK, by which Huawei signs its pushes and we sign our requests.

Source: docs/protocols/huawei-privatenumber.md sections 0 and 6. The digest of WSSE is over the raw SHA-256, not over
its hex text, which is what the demos of another Huawei product do.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

Digest = Callable[[str, str, str], str]

TOKEN_BYTES: Final = 1024  # a documented one has some 300
_PAIR: Final = re.compile(r'(?<!\w)(\w++)\s*+=\s*+"([^"]*+)"')  # never goes back, so that it is linear
_SCHEME: Final = "usernametoken"
_NAMES: Final = frozenset({"Username", "PasswordDigest", "Nonce", "Created"})


def aksk_digest(nonce: str, created: str, secret: str) -> str:
    """Base64(HMAC-SHA256(key = secret, message = nonce + created))."""
    return _base64(hmac.digest(secret.encode(), (nonce + created).encode(), "sha256"))


def wsse_digest(nonce: str, created: str, secret: str) -> str:
    """Base64(SHA-256(nonce + created + secret))."""
    return _base64(hashlib.sha256((nonce + created + secret).encode()).digest())


DIGESTS: Final[Mapping[str, Digest]] = {"aksk": aksk_digest, "wsse": wsse_digest}


def token_is_right(header: str, digests: Iterable[Digest], *, username: str | None, secret: str) -> bool:
    """Whether a `UsernameToken ...` header was made with `secret` and one of these, by `username` where one is known.

    Spaces around commas and equal signs are tolerated; an unreadable header is wrong, never an error.
    """
    token = _read(header)
    if token is None:
        return False
    nonce, created = token["Nonce"], token["Created"]
    right = any(_same(token["PasswordDigest"], digest(nonce, created, secret)) for digest in digests)
    return right and (username is None or _same(token["Username"], username))


def _read(header: str) -> Mapping[str, str] | None:
    """None where it is no token, where a name stands twice, or where it is longer than any is."""
    if len(header) > TOKEN_BYTES or not header.isascii():
        return None
    scheme, _, rest = header.strip().partition(" ")
    pairs = _PAIR.findall(rest)
    token = dict(pairs)
    if scheme.lower() != _SCHEME or not token.keys() >= _NAMES or len(token) != len(pairs):
        return None
    return token


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
