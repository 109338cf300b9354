"""One dialect a file: what each platform sends, asks and expects, pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from schemas.dialect.dialect import Platform
from schemas.platforms import aliyun as aliyun_pnp
from schemas.platforms import jiuyun as jiuyun_axb
from schemas.platforms.huawei import privatenumber as huawei_privatenumber
from schemas.platforms.huawei import voicecall as huawei_voicecall

WHOLE_BY_CDR: Final = frozenset({"aliyun_pnp", "jiuyun_axb"})  # they tell no end but the CDR (docs/design.md section 5)
PLATFORMS: Final[Mapping[str, Platform]] = {
    "huawei_privatenumber": huawei_privatenumber,
    "huawei_voicecall": huawei_voicecall,
    "aliyun_pnp": aliyun_pnp,
    "jiuyun_axb": jiuyun_axb,
}
