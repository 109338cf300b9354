"""Aliyun's two signatures, written from its page: X mode's query, and the RPC of its recording API.

Source: docs/protocols/aliyun-pnp.md section 2.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import quote


def encoded(text: str) -> str:
    """RFC 3986: letters, figures and - . _ ~ stay."""
    return quote(text, safe="-._~")


def control_signature(params: Mapping[str, str], *, secret: str) -> str:
    """Variant A, the text as documented: the sorted pairs encoded once more, keyed with the secret alone."""
    return _hmac_sha1(encoded(_pairs(params)), key=secret)


def rpc_signature(params: Mapping[str, str], *, secret: str, method: str = "GET") -> str:
    """Variant C: `METHOD&%2F&` in front, keyed with `secret&`, as Aliyun's outbound RPC calls are."""
    return _hmac_sha1(f"{method}&%2F&{encoded(_pairs(params))}", key=f"{secret}&")


def _pairs(params: Mapping[str, str]) -> str:
    signed = {name: value for name, value in params.items() if value and name.lower() != "signature"}
    return "&".join(f"{encoded(name)}={encoded(signed[name])}" for name in sorted(signed))


def _hmac_sha1(text: str, *, key: str) -> str:
    return base64.b64encode(hmac.new(key.encode(), text.encode(), hashlib.sha1).digest()).decode()
