"""Which of Aliyun's message types an item is: docs/protocols/aliyun-pnp.md section 4 and its shape rules.

A body names no type. Each type may have a path of its own, whose last segment is the type's name; where one address
serves all, the item's fields tell it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from schemas.dialect.times import is_epoch_ms
from schemas.envelope import JsonObject

START: Final = "SecretStartReport"
RING: Final = "SecretRingReport"
PICK_UP: Final = "SecretPickUpReport"
REPORT: Final = "SecretReport"
RECORDING: Final = "SecretRecording"
ASR: Final = "SecretAsrReport"
SMS: Final = "SecretSmsIntercept"
EXCEPTION: Final = "SecretExceptionPhoneReport"
LOGISTICS: Final = "SmartLogisticsReport"
NUMBER: Final = "NumberManagementReport"
UNKNOWN: Final = "unknown"

_LIKE_A_NAME: Final = re.compile(r"secret[a-z]+|(smart|number)[a-z]+report")

_BY_NAME: Final[Mapping[str, str]] = {
    name.lower(): name for name in (START, RING, PICK_UP, REPORT, RECORDING, ASR, SMS, EXCEPTION, LOGISTICS, NUMBER)
}

# In the order of the page: the first rule of which a field is sent decides. Fields marked [inferred] are not in the
# page's rules but in only one type of section 4: an intercept may come without its text, a CDR without release_time.
_BY_FIELD: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    (ASR, ("sentences",)),
    (SMS, ("sms_content", "sms_type", "send_no")),  # the last two [inferred]
    (LOGISTICS, ("logisticsStatus",)),
    (NUMBER, ("operating_time", "operatingTime")),
    (EXCEPTION, ("noStatus",)),
    (REPORT, ("release_time", "release_cause", "release_dir")),  # the last two [inferred]
)
_EVENTS_BY_FIELD: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    (PICK_UP, ("start_time",)),
    (RING, ("ring_time", "ring_Time")),
)
_NUMBERS: Final = ("phone_no", "secret_no", "peer_no")


def type_by_path(path: str) -> str | None:
    """The type that the last segment of a path names, ignoring case; None where it names none.

    A segment spelled like a type's name that is none is UNKNOWN: a new type must not be read as an old one.
    """
    segment = path.partition("?")[0].rstrip("/").rpartition("/")[2].lower()
    if segment in _BY_NAME:
        return _BY_NAME[segment]
    return UNKNOWN if _LIKE_A_NAME.fullmatch(segment) else None


def type_by_shape(row: JsonObject) -> str:
    """The type that the item's fields tell.

    The page's last rule is "else Start"; here that needs a call, a moment and a number, and the rest is UNKNOWN.
    """
    if found := _first(_BY_FIELD, row):
        return found
    has_numbers = _any_sent(row, _NUMBERS)
    if is_epoch_ms(row.get("call_time")) and not has_numbers:
        return RECORDING
    if found := _first(_EVENTS_BY_FIELD, row):
        return found
    return START if has_numbers and _sent(row, "call_id") and _sent(row, "call_time") else UNKNOWN


def _first(rules: tuple[tuple[str, tuple[str, ...]], ...], row: JsonObject) -> str | None:
    return next((name for name, fields in rules if _any_sent(row, fields)), None)


def _any_sent(row: JsonObject, names: tuple[str, ...]) -> bool:
    return any(_sent(row, name) for name in names)


def _sent(row: JsonObject, name: str) -> bool:
    return row.get(name) not in (None, "")
