"""The signature on Huawei's pushes: docs/protocols/huawei-privatenumber.md section 0, rows on push auth."""

from __future__ import annotations

from datetime import datetime

from schemas.notification import Notification
from schemas.platforms.huawei.privatenumber.settings import PrivateNumberSource
from schemas.platforms.huawei.tokens import DIGESTS, token_is_right


def verify(notification: Notification, source: PrivateNumberSource, _: datetime) -> bool | None:
    """Whether `X-AKSK` (since about December 2024) or `X-WSSE` (before) was made with the source's secret.

    None when the push carries neither, or when the source has no secret to check with. Where both stand, AKSK
    counts. `Authorization` may be absent. The signature covers nonce and time, not the body. No time window and no
    memory of nonces is documented for pushes, and re-pushes come up to 300 minutes later: `Created` is not judged.
    """
    if source.app_secret is None:
        return None
    secret = source.app_secret.get_secret_value()
    for scheme, digest in DIGESTS.items():
        header = notification.headers.get(f"x-{scheme}")
        if header is not None:
            return token_is_right(header, [digest], username=source.app_key, secret=secret)
    return None
