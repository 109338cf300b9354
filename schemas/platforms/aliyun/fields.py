"""Fields of one Aliyun receipt: ids, Beijing times, and the real parties (docs/protocols/aliyun-pnp.md section 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from schemas.dialect.fields import MAX_ID, as_integer, digits, phone, says_nothing
from schemas.dialect.times import BEIJING, utc
from schemas.envelope import JsonObject
from schemas.errors import Malformed
from schemas.facts import CallFields
from schemas.numbers import in_keys
from schemas.platforms.aliyun.settings import AliyunSource
from schemas.vocabulary import Direction

PRODUCT: Final = "pnp"

_NO_BINDING: Final = "0"

# Section 4.1, call_type: 0 A calls, 1 A is called, 4 blocked.
_DIRECTIONS: Final[Mapping[int | None, Direction]] = {0: "a_to_b", 1: "b_to_a", 4: "abnormal"}
_A_IS_CALLED: Final = 1


def ident(row: JsonObject, *names: str) -> str | None:
    """The first of these ids that is sent, as text: the same id comes as a string here and as a number there.

    Raises:
        Malformed: float_id, since it was rounded before it reached us; long_id beyond MAX_ID characters.
    """
    for name in names:
        if isinstance(row.get(name), float):
            raise Malformed("float_id", name)
        value = digits(row, name)
        if value is not None and len(value) > MAX_ID:
            raise Malformed("long_id", name)
        if value is not None and not says_nothing(value):
            return value
    return None


def call_id(row: JsonObject) -> str:
    """The id that all messages of one call share.

    Raises:
        Malformed: no_call_id, float_id, long_id.
    """
    value = ident(row, "call_id", "callId")
    if value is None:
        raise Malformed("no_call_id")
    return value


def moment(row: JsonObject, *names: str) -> datetime | None:
    """The first of these times that is sent, in UTC: Beijing time where it names no zone.

    Raises:
        Malformed: bad_time, when something else stands there.
    """
    name = next((name for name in names if row.get(name) not in (None, "")), None)
    return None if name is None else utc(row, name, zone=BEIJING)


def pool_key(row: JsonObject) -> str | None:
    """The number pool; both names are sent and equal in the samples of section 4.1, some types send one."""
    return digits(row, "pool_key", "partner_key")


def called_in_keys(row: JsonObject) -> str:
    """The number that is called, as keys spell it."""
    return in_keys(digits(row, _ends(as_integer(row.get("call_type")))[1]) or "")


def _ends(call_type: int | None) -> Sequence[str]:
    """The fields of who calls and who is called."""
    return ("peer_no", "phone_no") if call_type == _A_IS_CALLED else ("phone_no", "peer_no")


def parties(row: JsonObject, source: AliyunSource) -> CallFields:
    """What every receipt tells of the call, no times: `phone_no` is A, `peer_no` B, and call_type says who called.

    Of a blocked call `phone_no` is the caller [inferred from the sample, which has nothing else]. sub_id 0 is none.
    """
    call_type = as_integer(row.get("call_type"))
    caller, callee = (phone(row, name) for name in _ends(call_type))
    return CallFields(
        product=PRODUCT,
        mode=source.mode,
        direction=_DIRECTIONS.get(call_type),
        caller=caller,
        callee=callee,
        private_number=phone(row, "secret_no"),
        display_number=phone(row, "called_display_no"),
        extension=digits(row, "extension"),
        binding_id=binding_id(row),
        user_data=digits(row, "out_id"),
    )


def binding_id(row: JsonObject) -> str | None:
    """`sub_id`, on an old page `subs_id`; a call without a binding carries 0, or nothing usable."""
    value = digits(row, "sub_id", "subs_id")
    return None if value == _NO_BINDING else value


def ring_time(row: JsonObject, started: datetime | None) -> datetime | None:
    """When the callee rang; None if it did not.

    Section 4.1: free_ring_time is later than call_out_time if it truly rang, equal to it if not, and equal to
    ring_time where that is not known; ring_time in turn equals call_out_time if it never rang. Of events and of the
    oldest format, which have no call_out_time, call_time is that start.
    """
    rang = moment(row, "free_ring_time", "ring_time", "ring_Time")
    return None if rang is None or (started is not None and rang <= started) else rang


def https(url: str) -> str:
    """A link to Alibaba's object storage, by https: the vendor's own examples say http, and it serves both."""
    try:
        plain = urlsplit(url)
        is_theirs = (plain.hostname or "").endswith(".aliyuncs.com") and plain.port in (None, 80)
    except ValueError:  # whoever fetches it says what is wrong with it
        return url
    if plain.scheme != "http" or not is_theirs:
        return url
    return plain._replace(scheme="https", netloc=plain.hostname or "").geturl()
