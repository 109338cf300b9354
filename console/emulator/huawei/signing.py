"""The two signatures of the platform, for its pushes and for its recording API.

Source: docs/protocols/huawei-privatenumber.md sections 0 and 6.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping

PAIR = re.compile(r'(\w+)="([^"]*)"')
NONCE = re.compile(r"[0-9A-Za-z]{1,128}")
CREATED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
SCHEMES = ("AKSK", "WSSE")


def digest(scheme: str, *, nonce: str, created: str, secret: str) -> str:
    """AKSK: HMAC-SHA256 under the secret; WSSE: plain SHA-256 with the secret at the end."""
    if scheme == "AKSK":
        return keyed(nonce + created, secret)
    return base64.b64encode(hashlib.sha256((nonce + created + secret).encode()).digest()).decode()


def headers(sign: str, *, app_key: str, app_secret: str, nonce: str, created: str) -> dict[str, str]:
    """The auth headers of one push; none when the source's pushes are not signed."""
    if sign == "none":
        return {}
    scheme = sign.upper()
    value = digest(scheme, nonce=nonce, created=created, secret=app_secret)
    return token(scheme, value, app_key=app_key, nonce=nonce, created=created)


def keyed(text: str, secret: str) -> str:
    """HMAC-SHA256 in Base64."""
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()).decode()


def token(scheme: str, value: str, *, app_key: str, nonce: str, created: str) -> dict[str, str]:
    """The two headers that carry a digest."""
    return {
        "Authorization": f'{scheme} realm="SDP",profile="UsernameToken",type="Appkey"',
        f"X-{scheme}": (
            f'UsernameToken Username="{app_key}",PasswordDigest="{value}",Nonce="{nonce}",Created="{created}"'
        ),
    }


def is_signed(request: Mapping[str, str], *, app_key: str, app_secret: str) -> bool:
    """Tell if a request to the platform carries the right key and digest in either scheme."""
    scheme = request.get("Authorization", "").split(" ", 1)[0]
    if scheme not in SCHEMES:
        return False
    token = dict(PAIR.findall(request.get(f"X-{scheme}", "")))
    nonce, created = token.get("Nonce", ""), token.get("Created", "")
    if not NONCE.fullmatch(nonce) or not CREATED.fullmatch(created) or token.get("Username") != app_key:
        return False
    right = digest(scheme, nonce=nonce, created=created, secret=app_secret)
    return hmac.compare_digest(right.encode(), token.get("PasswordDigest", "").encode())
