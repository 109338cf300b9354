"""VoiceCall's times: docs/protocols/huawei-voicecall.md section 0."""

from __future__ import annotations

from datetime import datetime

from schemas.dialect.fields import utc
from schemas.envelope import JsonObject


def moment(row: JsonObject, name: str) -> datetime | None:
    """A time in UTC; old pushes have two spaces between date and time.

    Raises:
        Malformed: bad_time.
    """
    value = row.get(name)
    return utc({name: " ".join(value.split())}, name) if isinstance(value, str) else utc(row, name)
