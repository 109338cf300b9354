"""One dialect a file: what each platform sends, asks and expects, pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from schemas.platforms import huawei_privatenumber
from schemas.platforms.base import Platform

PLATFORMS: Final[Mapping[str, Platform]] = {
    "huawei_privatenumber": huawei_privatenumber,
}
