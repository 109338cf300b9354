"""What VoiceCall's call events and CDRs have in common: session id and times."""

from __future__ import annotations

from datetime import datetime

from schemas.envelope import JsonObject
from schemas.errors import Malformed
from schemas.facts import Code
from schemas.platforms.fields import identifier, utc


def session_of(row: JsonObject) -> str:
    """The session id, which both legs of a call share.

    Raises:
        Malformed: no_session_id, numeric_id, long_id.
    """
    session_id = identifier(row, "sessionId")
    if session_id is None:
        raise Malformed("no_session_id")
    return session_id


def moment(row: JsonObject, name: str) -> datetime | None:
    """A time in UTC; protocols/huawei-voicecall.md section 0: old pushes have two spaces between date and time.

    Raises:
        Malformed: bad_time.
    """
    value = row.get(name)
    return utc({name: " ".join(value.split())}, name) if isinstance(value, str) else utc(row, name)


def sent(*codes: Code | None) -> tuple[Code, ...]:
    """Those that were sent."""
    return tuple(code for code in codes if code is not None)
