"""What sources of Huawei's products have in common."""

from __future__ import annotations

from typing import Literal

from schemas.settings.source import SignedSource


class HuaweiSource(SignedSource):
    """`recording_auth`: how our requests to the recording API are signed."""

    recording_auth: Literal["aksk", "wsse"] = "aksk"
