"""What each platform sends, asks and expects: one package a platform, and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from schemas.dialect.dialect import AnyDialect
from schemas.envelope import JsonObject
from schemas.platforms import aliyun, jiuyun
from schemas.platforms.huawei import privatenumber, voicecall

_ALL: Final[tuple[AnyDialect, ...]] = (
    privatenumber.DIALECT,
    voicecall.DIALECT,
    aliyun.DIALECT,
    jiuyun.DIALECT,
)
DIALECTS: Final[Mapping[str, AnyDialect]] = {dialect.name: dialect for dialect in _ALL}


def number_of(platform: str, state: JsonObject) -> str | None:
    """The number, in E.164, whose state that is, as its dialect reads it; None where it names none, or is cut."""
    dialect = DIALECTS.get(platform)
    return dialect.number_of(state) if dialect is not None and dialect.number_of is not None else None
