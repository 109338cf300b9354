"""Aliyun's two signatures: on the questions of X mode, which it asks, and on the RPC calls that we send.

Source: docs/protocols/aliyun-pnp.md section 2 (X mode: steps 1 to 6 are documented, key variants B and C, the second
URL encoder and the tolerance of the wire are [inferred]); the RPC signature is Alibaba Cloud's signature version 1.0,
as the same section describes it.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import quote, quote_plus, unquote

from schemas.notification import Notification
from schemas.platforms.aliyun.params import control_form, control_params
from schemas.platforms.aliyun.settings import AliyunSource

Encoder = Callable[[str], str]

SIGNATURE: Final = "signature"
_SIGNED: Final = re.compile(rf"(?:^|(?<=&))({SIGNATURE}=)[^&]*")
_SIGNED_BYTES: Final = re.compile(_SIGNED.pattern.encode())
TIMESTAMP: Final = "timestamp"


def rfc3986(value: str) -> str:
    """Percent-encoding with `%20`, `%2A` and a plain `~`."""
    return quote(value, safe="", errors="surrogateescape")


def url_encoder(value: str) -> str:
    """As java.net.URLEncoder: a space is `+`, `*` is kept, `~` is `%7E`."""
    return quote_plus(value, safe="*", errors="surrogateescape").replace("~", "%7E")


# Per variant: what stands before the string, and what is added to the secret (section 2, worked example).
VARIANTS: Final[Mapping[str, tuple[str, str]]] = {"A": ("", ""), "B": ("", "&"), "C": ("POST&%2F&", "&")}


def verify(notification: Notification, source: AliyunSource, now: datetime) -> bool | None:
    """Whether a question of X mode was signed, with `control_secret` or else `app_secret`, `clock_skew` from `now`.

    None for receipts, which carry no signature, and where the source has no secret. A question without a signature
    is wrong, not unsigned: all of them carry one. So one source can take receipts and still refuse forged questions.
    """
    form = control_form(notification)
    key = source.control_secret or source.app_secret
    if form is None or key is None:
        return None
    params = form.sent
    secret = key.get_secret_value()
    given = _as_it_may_arrive(params.get(SIGNATURE, ""))
    right = [x_mode_signature(params, secret, source.key_variant, encode=encode) for encode in (rfc3986, url_encoder)]
    same = [hmac.compare_digest(one.encode(errors="replace"), other.encode()) for one in given for other in right]
    return any(same) and _in_window(params.get(TIMESTAMP, ""), now, source.clock_skew)


def unsigned(notification: Notification) -> Notification:
    """The same without the signature among its parameters, as it is stored."""
    if control_params(notification) is None:
        return notification
    path, mark, query = notification.path.partition("?")
    body = _SIGNED_BYTES.sub(rb"\1", notification.body)
    signed = notification.signed or "none"
    return replace(notification, path=path + mark + _SIGNED.sub(r"\1", query), body=body, signed=signed)


def x_mode_signature(params: Mapping[str, str], secret: str, variant: str, *, encode: Encoder) -> str:
    """The Base64 text of step 5, not yet URL-encoded; `variant` is a key of VARIANTS."""
    prefix, suffix = VARIANTS[variant]
    return _hmac_sha1(prefix + encode(canonical(params, encode)), secret + suffix)


def rpc_signature(params: Mapping[str, str], secret: str, *, method: str) -> str:
    """The value of `Signature` for an RPC call of ours."""
    return _hmac_sha1(f"{method}&%2F&{rfc3986(canonical(params, rfc3986))}", secret + "&")


def canonical(params: Mapping[str, str], encode: Encoder) -> str:
    """All parameters with a value but the signature, by name, encoded and joined: steps 1 to 3."""
    signed = sorted((name, value) for name, value in params.items() if value and name != SIGNATURE)
    return "&".join(f"{encode(name)}={encode(value)}" for name, value in signed)


def _as_it_may_arrive(signature: str) -> list[str]:
    """Decoded once by the form, or once more here, with the `+` of Base64 that a decoder took for a space."""
    return [candidate.replace(" ", "+") for candidate in (signature, unquote(signature))]


def _in_window(timestamp: str, now: datetime, skew: timedelta) -> bool:
    try:
        at = datetime.strptime(timestamp, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return False
    return abs(now - at) <= skew


def _hmac_sha1(message: str, key: str) -> str:
    return base64.b64encode(hmac.digest(key.encode(), message.encode(), "sha1")).decode()
