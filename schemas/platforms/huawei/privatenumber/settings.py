"""What a source of PrivateNumber has of its own."""

from __future__ import annotations

from typing import Literal

from schemas.platforms.huawei.settings import HuaweiSource
from schemas.settings.source import AskingSource
from schemas.vocabulary import Mode


class PrivateNumberSource(HuaweiSource, AskingSource):
    """`mode` overrides what the platform says; `answer_shape`: connectInfo and closeInfo as table or demo have them."""

    mode: Mode | None = None
    answer_shape: Literal["object", "array"] = "object"
