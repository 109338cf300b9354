"""What a source of VoiceCall has of its own."""

from __future__ import annotations

from schemas.platforms.huawei.settings import HuaweiSource
from schemas.settings import SecretUrl


class VoiceCallSource(HuaweiSource):
    """`push_url`: the URL as the platform's console knows it, which it signs; it holds the token, so it is a secret."""

    push_url: SecretUrl | None = None
