"""The signature on VoiceCall's pushes: docs/protocols/huawei-voicecall.md section 0, rows on push auth."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Final

from schemas.notification import Notification
from schemas.platforms.huawei.tokens import Digest, token_is_right
from schemas.platforms.huawei.voicecall.settings import VoiceCallSource

_SEPARATORS: Final = ("\n", "")  # today's page, and the page of 2022


def push_digest(nonce: str, created: str, secret: str, *, url: str, separator: str = "\n") -> str:
    """Base64(HMAC-SHA256(key = secret, message = url, nonce and created, joined by `separator`)).

    That the hash is SHA-256 is inferred: the page names none.
    """
    message = separator.join((url, nonce, created)).encode()
    return base64.b64encode(hmac.digest(secret.encode(), message, "sha256")).decode()


def verify(notification: Notification, source: VoiceCallSource, _: datetime) -> bool | None:
    """Whether `X-AKSK` was made with the source's secret over the URL as the platform knows it.

    None when the push carries no such header, or when the source lacks `app_secret` or `push_url` to check with: the
    FAQ says that pushes carry no authentication at all. `verify = "always"` refuses these, so it needs `push_url`.

    The URL signed is `push_url`, or `push_url` followed by what came after the token, so that one source may have
    several URLs. `Created` goes into the digest as sent and is not judged: no window is documented, and a CDR is
    pushed again for up to 6 hours. Whoever judges it must read it as Beijing time, though it ends in Z.
    """
    header = notification.headers.get("x-aksk")
    if header is None or source.app_secret is None or source.push_url is None:
        return None
    secret = source.app_secret.get_secret_value()
    digests = _digests(source.push_url.get_secret_value(), notification.path)
    return token_is_right(header, digests, username=source.app_key, secret=secret)


def _digests(push_url: str, path: str) -> Iterator[Digest]:
    for url in dict.fromkeys((push_url, push_url + path, push_url.rstrip("/") + path)):
        for separator in _SEPARATORS:
            yield partial(push_digest, url=url, separator=separator)
