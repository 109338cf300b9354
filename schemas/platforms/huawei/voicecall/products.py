"""Which of VoiceCall's three products an item is about.

Source: docs/protocols/huawei-voicecall.md sections 0, 1 and 2.

Content counts first. A CDR says 002 for callback and 001 for a voice that is played, which is a notification or a
verification code: nothing in a CDR tells these two apart. Most call events say nothing at all. So the last segment
of the URL may say it, since each call may have URLs of its own (`statusUrl`, `feeUrl`):
`/v1/<source>/<token>/verify`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from schemas.dialect.fields import as_integer, text
from schemas.envelope import JsonObject

CALLBACK: Final = "callback"
NOTIFY: Final = "notify"
VERIFY: Final = "verify"
ONE_LEG: Final = frozenset({NOTIFY, VERIFY})

_PRODUCTS: Final = ONE_LEG | {CALLBACK}
_SERVICE_TYPES: Final[Mapping[int | None, str]] = {1: NOTIFY, 2: CALLBACK}

# Section 2: absent in the table of notify; fwdUnaswRsn is there too, so it tells nothing.
_ONLY_OF_CALLBACK: Final = ("fwdDstNum", "fwdDisplayNum", "fwdStartTime", "fwdAlertingTime", "fwdAnswerTime")


def named_by(path: str) -> str | None:
    """The product that a URL names by what follows the token."""
    segment = path.partition("?")[0].rstrip("/").rpartition("/")[2].lower()
    return segment if segment in _PRODUCTS else None


def product_of_cdr(record: JsonObject, named: str | None) -> str | None:
    """By service type, else by its second leg, else as the URL names it.

    A CDR without service type and second leg is one of a played voice; None for a service that nobody has seen.
    """
    by_type = _SERVICE_TYPES.get(as_integer(record.get("serviceType")))
    if by_type == CALLBACK or (by_type is None and _has_second_leg(record)):
        return CALLBACK
    if by_type == NOTIFY:
        return named if named in ONE_LEG else NOTIFY
    return named or (None if record.get("serviceType") else NOTIFY)


def product_of_event(info: JsonObject, timeline_type: str, named: str | None) -> str | None:
    """Section 1: partyType is of callback only, collectInfo of notify only; the rest is the same for all three.

    The absence of partyType says nothing: it comes only where the call was ordered with
    `partyTypeRequiredInDisconnect` (the vendor's click2Call samples; the default is false).
    """
    if text(info, "partyType"):
        return CALLBACK
    return NOTIFY if timeline_type == "digits" else named


def _has_second_leg(record: JsonObject) -> bool:
    return any(record.get(name) is not None for name in _ONLY_OF_CALLBACK)
