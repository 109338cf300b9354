"""What one dialect forgives its siblings forgive: the same oddity, told by each platform in its own words."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

import pytest

from schemas.errors import Malformed
from schemas.facts import Cdr, Parsed
from schemas.platforms import DIALECTS
from tests.building.pushes import a_push

BEIJING: Final = timezone(timedelta(hours=8))
ANSWERED: Final = datetime(2026, 11, 20, 5, 25, 18, tzinfo=UTC)
ENDED: Final = ANSWERED + timedelta(seconds=23)

Row = dict[str, Any]
_HUAWEI: Final = {
    "sessionId": "s1", "icid": "r1", "callerNum": "+8613100000011", "calleeNum": "+8617000000010",
    "fwdDstNum": "+8613200000012",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Sibling:
    """A platform's CDR of one answered call: its fields but the two times, their names, and how a push holds it."""

    row: Row
    answered: str
    ended: str
    caller: str
    zone: timezone = UTC
    push: Callable[[Row], Any]
    alone: Callable[[Row], Any]  # with an object for a list, or a list for an object
    more: Row = field(default_factory=dict)

    def cdr(self, answered: Any, ended: Any = None, **fields: Any) -> Row:
        """Its record, with the moments spelled as given."""
        return {**self.row, self.answered: answered, self.ended: ended or self.local(ENDED), **fields}

    def local(self, at: datetime, form: str = "%Y-%m-%d %H:%M:%S") -> str:
        """As the platform spells it, which names no zone."""
        return at.astimezone(self.zone).strftime(form)


SIBLINGS: Final[Mapping[str, Sibling]] = {
    "huawei_privatenumber": Sibling(
        row=_HUAWEI,
        answered="fwdAnswerTime",
        ended="callEndTime",
        caller="callerNum",
        push=lambda row: {"eventType": "fee", "feeLst": [row]},
        alone=lambda row: {"eventType": "fee", "feeLst": row},
    ),
    "huawei_voicecall": Sibling(
        row={**_HUAWEI, "serviceType": "002"},
        answered="fwdAnswerTime",
        ended="callEndTime",
        caller="calleeNum",
        push=lambda row: {"eventType": "fee", "feeLst": [row]},
        alone=lambda row: {"eventType": "fee", "feeLst": row},
    ),
    "aliyun_pnp": Sibling(
        row={"id": 1, "call_id": "s1", "phone_no": "13100000011", "peer_no": "13200000012", "call_type": 0},
        answered="start_time",
        ended="release_time",
        caller="phone_no",
        zone=BEIJING,
        push=lambda row: [row],
        alone=lambda row: row,
    ),
    "jiuyun_axb": Sibling(
        row={
            "action": "Hangup", "type": "10", "appId": "app", "callId": "s1", "caller": "13100000011",
            "called": "13200000012", "duration": "23", "byeType": "0",
        },
        answered="startTimeB",
        ended="endTime",
        caller="caller",
        zone=BEIJING,
        push=lambda row: {"req": row},
        alone=lambda row: [{"req": [row]}],
    ),
}  # fmt: skip
EACH: Final = pytest.mark.parametrize("platform", SIBLINGS)


def read(platform: str, push: Any, **settings: Any) -> Parsed:
    """The one item of a push."""
    dialect = DIALECTS[platform]
    source = dialect.settings.model_validate(
        {"name": "a-source", "platform": platform, "tokens": ["token"], **settings}
    )
    (item,) = dialect.parse(a_push(push), source)
    if isinstance(item, Malformed):
        raise item
    return item


def the_cdr(platform: str, push: Any) -> Cdr:
    item = read(platform, push)
    assert isinstance(item.body, Cdr)
    return item.body


@EACH
@pytest.mark.parametrize(
    "form",
    [
        "%Y-%m-%d %H:%M:%S", "%Y-%m-%d  %H:%M:%S", " %Y-%m-%d %H:%M:%S ", "%Y-%m-%d\t%H:%M:%S", "%Y-%m-%dT%H:%M:%S",
        "%Y-%m-%d T %H:%M:%S", "%Y-%m-%d %H:%M:%S.000", "%Y-%m-%d %H:%M:%S,000", "%Y-%m-%dT%H:%M:%S.000000000",
        "%Y%m%d%H%M%S",
    ],
)  # fmt: skip
def test_a_time_without_a_zone_is_read_however_it_is_spelled(platform: str, form: str) -> None:
    sibling = SIBLINGS[platform]
    cdr = the_cdr(platform, sibling.push(sibling.cdr(sibling.local(ANSWERED, form))))
    assert (cdr.call.answered_at, cdr.call.ended_at) == (ANSWERED, ENDED)


@EACH
@pytest.mark.parametrize(
    "spelled",
    [
        "2026-11-20T05:25:18Z", "2026-11-20 05:25:18Z", "2026-11-20  05:25:18 z", "2026-11-20T05:25:18+00:00",
        "2026-11-20T13:25:18+08:00", "2026-11-20 13:25:18 +08:00", "2026-11-20T13:25:18+0800", "2026-11-20T13:25:18+08",
        "2026-11-20T13:25:18.000+08:00", "2026-11-20T00:25:18-05:00", "2026-11-20T10:55:18+05:30",
        "1795152318", 1795152318, "1795152318000", 1795152318000,
    ],
)  # fmt: skip
def test_a_zone_that_stands_in_a_time_is_obeyed(platform: str, spelled: Any) -> None:
    sibling = SIBLINGS[platform]
    cdr = the_cdr(platform, sibling.push(sibling.cdr(spelled)))
    assert cdr.call.answered_at == ANSWERED


@EACH
@pytest.mark.parametrize("none", ["", None, " ", "null"])
def test_what_says_that_there_is_no_time_says_it(platform: str, none: Any) -> None:
    sibling = SIBLINGS[platform]
    row = {**sibling.cdr(None), "duration": "0"} if platform == "jiuyun_axb" else sibling.cdr(None)
    assert the_cdr(platform, sibling.push({**row, sibling.answered: none})).call.answered_at is None


@EACH
@pytest.mark.parametrize(
    "odd",
    [
        "yesterday", "2026-11-20", "2026-13-20 05:25:18", "2026-11-20 25:25:18", "2026-11-20T05:25:18+25:00",
        "2026-11-20 05:25:18 CST", "+8613100000011", "13100000011", 13100000011, 179515231, 1.5, True, {}, [],
        "0000-00-00 00:00:00", "05:25:18 2026-11-20",
    ],
)  # fmt: skip
def test_a_time_that_cannot_be_read_is_refused_and_never_wrong(platform: str, odd: Any) -> None:
    sibling = SIBLINGS[platform]
    with pytest.raises(Malformed, match="bad_time"):
        read(platform, sibling.push(sibling.cdr(odd)))


@EACH
def test_one_item_may_come_as_an_object_where_a_list_is_documented_and_the_other_way_round(platform: str) -> None:
    sibling = SIBLINGS[platform]
    row = sibling.cdr(sibling.local(ANSWERED))
    assert read(platform, sibling.alone(row)) == read(platform, sibling.push(row))


@EACH
@pytest.mark.parametrize("blanks", ["", " ", "\u3000\t", "\u0000 "])
def test_a_number_of_blanks_is_none(platform: str, blanks: str) -> None:
    """The case: twice "" was one number, so an unanswered call was answered and billed."""
    sibling = SIBLINGS[platform]
    row = sibling.cdr(sibling.local(ANSWERED), **{sibling.caller: blanks})
    assert the_cdr(platform, sibling.push(row)).call.caller is None


@EACH
@pytest.mark.parametrize("nothing", [" ", "\u3000", "null"])
def test_calls_are_not_mixed_under_an_id_that_is_none(platform: str, nothing: str) -> None:
    if platform == "aliyun_pnp" and nothing == "null":
        return  # its senders leave a field out
    sibling = SIBLINGS[platform]
    name = next(name for name, value in sibling.row.items() if value == "s1")
    push = sibling.push(sibling.cdr(sibling.local(ANSWERED), **{name: nothing}))
    if platform == "jiuyun_axb":
        with pytest.raises(Malformed, match="no_session_id"):
            read(platform, push)
    else:
        assert read(platform, push).session_id == ("1" if platform == "aliyun_pnp" else "icid:r1")


@EACH
def test_a_time_is_not_kept_that_is_longer_than_any(platform: str) -> None:
    """What is read is remembered, so a sender could make us keep 1,024 texts of any length."""
    sibling = SIBLINGS[platform]
    told = sibling.local(ANSWERED)
    assert the_cdr(platform, sibling.push(sibling.cdr(told.replace(" ", " " * 46)))).call.answered_at == ANSWERED
    with pytest.raises(Malformed, match="bad_time"):
        the_cdr(platform, sibling.push(sibling.cdr(told.replace(" ", " " * 47))))


@EACH
def test_a_list_of_one_push_is_that_push(platform: str) -> None:
    sibling = SIBLINGS[platform]
    push = sibling.push(sibling.cdr(sibling.local(ANSWERED)))
    assert read(platform, push if isinstance(push, list) else [push]) == read(platform, push)


@EACH
def test_a_byte_order_mark_says_nothing(platform: str) -> None:
    sibling = SIBLINGS[platform]
    sent = json.dumps(sibling.push(sibling.cdr(sibling.local(ANSWERED)))).encode()
    assert read(platform, b"\xef\xbb\xbf" + sent) == read(platform, sent)
    assert read(platform, b"\xef\xbb\xbf \r\n" + sent + b"\n") == read(platform, sent)


@EACH
@pytest.mark.parametrize("sent", ["13100000011", 13100000011, " 13100000011 ", "+8613100000011", "008613100000011"])
def test_a_number_is_read_however_it_is_sent(platform: str, sent: Any) -> None:
    sibling = SIBLINGS[platform]
    row = sibling.cdr(sibling.local(ANSWERED), **{sibling.caller: sent})
    assert the_cdr(platform, sibling.push(row)).call.caller == "+8613100000011"


@EACH
@pytest.mark.parametrize(
    ("sent", "told"),
    [("006591234567", "+6591234567"), ("00000000000", "00000000000"), ("anonymous", "anonymous")],
)
def test_a_number_that_is_not_of_the_mainland_is_not_told_as_one(platform: str, sent: str, told: str) -> None:
    sibling = SIBLINGS[platform]
    row = sibling.cdr(sibling.local(ANSWERED), **{sibling.caller: sent})
    assert the_cdr(platform, sibling.push(row)).call.caller == told
