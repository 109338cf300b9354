"""CDRs of VoiceCall that nobody has published, made from the words of its page.

Sections are those of docs/protocols/huawei-voicecall.md, tables of docs/protocols/huawei-reason-codes.md.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from schemas.facts import CallFields, Cdr, Code, Leg, Parsed
from schemas.notification import Notification, Reply
from schemas.platforms.huawei.voicecall import DIALECT
from schemas.platforms.huawei.voicecall.settings import VoiceCallSource
from tests.building.pushes import a_push

SOURCE = VoiceCallSource.model_validate({"name": "huawei-vc", "platform": "huawei_voicecall", "tokens": ["token"]})
SESSION = "1201_612_4294967295_20190124030424@callenabler245.huaweicaas.com"
A, B, SHOWN = "+8613800000021", "+8613800000022", "+8675528000001"


def a_fee(*records: Any, path: str = "") -> Notification:
    return a_push({"eventType": "fee", "feeLst": records}, path)


def a_cdr(**fields: Any) -> dict[str, Any]:
    return {"sessionId": SESSION, "icid": "record-1", "serviceType": "002", **fields}


def parsed_cdr(push: Notification) -> tuple[Parsed, Cdr]:
    (parsed,) = DIALECT.parse(push, SOURCE)
    assert isinstance(parsed, Parsed)
    assert isinstance(parsed.body, Cdr)
    return parsed, parsed.body


def the_only_record(record: dict[str, Any], path: str = "") -> Cdr:
    return parsed_cdr(a_fee(record, path=path))[1]


def the_key(record: dict[str, Any]) -> str:
    return parsed_cdr(a_fee(record))[0].key


def at(clock: str) -> datetime:
    """Section 0, row times: UTC."""
    return datetime.fromisoformat(f"2019-01-24T{clock}+00:00")


def test_an_unanswered_b_is_told_by_the_missing_answer_time_alone() -> None:
    """Section 2, the real record: 518, SIP 480, failTime set, both Q.850 causes 0, callEndTime = failTime."""
    record = a_cdr(
        callerNum=SHOWN, calleeNum=A, fwdDisplayNum=SHOWN, fwdDstNum=B,
        callOutStartTime="2019-01-24 03:04:24", callOutAlertingTime="2019-01-24 03:04:30",
        callOutAnswerTime="2019-01-24 03:04:36", fwdStartTime="2019-01-24 03:04:37",
        fwdAlertingTime="2019-01-24 03:04:41", callEndTime="2019-01-24 03:05:11", failTime="2019-01-24 03:05:11",
        ulFailReason=518, sipStatusCode=480, fwdUnaswRsn=0, callOutUnaswRsn=0, recordFlag=0,
    )  # fmt: skip
    assert the_only_record(record) == Cdr(
        record_id="record-1",
        call=CallFields(
            product="callback",
            caller=A,
            callee=B,
            display_number=SHOWN,
            started_at=at("03:04:24"),
            ringing_at=at("03:04:41"),
            ended_at=at("03:05:11"),
            codes=(
                Code(name="fail_code", value=518, text="far user failed"),  # docs/contract.md section 1: 518 is skipped
                Code(name="q850", value=0, text="not applicable"),
                Code(name="sip", value=480, outcome="no_answer", text="Temporarily Unavailable"),
            ),
        ),
        legs=(
            Leg(name="a", number=A, started_at=at("03:04:24"), ringing_at=at("03:04:30"), answered_at=at("03:04:36")),
            Leg(name="b", number=B, started_at=at("03:04:37"), ringing_at=at("03:04:41")),
        ),
        implies=("outgoing.a", "ringing.a", "answered.a", "outgoing.b", "ringing.b", "ended"),
        raw=record,
    )


def test_where_a_does_not_answer_b_is_never_called() -> None:
    record = a_cdr(
        calleeNum=A, fwdDstNum=B, callOutStartTime="2019-01-24 03:04:24", callOutAlertingTime="2019-01-24 03:04:30",
        callEndTime="2019-01-24 03:05:00", fwdAnswerTime="", fwdStartTime=None, callOutUnaswRsn=19, fwdUnaswRsn=0,
        ulFailReason=514,
    )  # fmt: skip
    body = the_only_record(record)
    assert (body.call.caller, body.call.callee, body.call.answered_at, body.call.ringing_at) == (A, B, None, None)
    assert body.implies == ("outgoing.a", "ringing.a", "ended")
    assert body.legs[1] == Leg(name="b", number=B)
    assert body.call.codes == (
        Code(name="fail_code", value=514, outcome="no_answer", text="ring timeout"),  # table D
        Code(name="q850", value=19, outcome="no_answer", text="no answer from user"),  # table E
    )


def test_an_unanswered_notification_is_told_by_its_missing_answer_time() -> None:
    record = a_cdr(
        serviceType="001", callerNum=SHOWN, calleeNum=A, callOutStartTime="2019-01-24 03:04:24",
        callEndTime="2019-01-24 03:04:40", failTime="2019-01-24 03:04:40", ulFailReason=8102, callOutUnaswRsn=17,
        fwdUnaswRsn=0, sipStatusCode=486,
    )  # fmt: skip
    body = the_only_record(record)
    assert (body.call.caller, body.call.callee, body.call.answered_at) == (None, A, None)
    assert (body.legs, body.implies) == ((), ("ended",))
    assert body.call.codes == (
        Code(name="fail_code", value=8102, outcome="busy", text="callee busy"),
        Code(name="q850", value=17, outcome="busy", text="user busy"),
        Code(name="sip", value=486, outcome="busy", text="Busy Here"),
    )


@pytest.mark.parametrize(
    ("fields", "path", "product"),
    [
        ({"serviceType": "002"}, "", "callback"),
        ({"serviceType": 2}, "", "callback"),
        ({"serviceType": "001"}, "", "notify"),
        ({"serviceType": "001"}, "/verify", "verify"),
        ({"serviceType": "001", "fwdUnaswRsn": 0}, "/callback", "notify"),
        # row serviceType: optional; rows fwd*: absent in the notify table, but fwdUnaswRsn is present there
        ({"fwdDstNum": B}, "", "callback"),
        ({"fwdDisplayNum": ""}, "", "callback"),
        ({"fwdAnswerTime": "2019-01-24 03:04:45"}, "/verify", "callback"),
        ({"fwdUnaswRsn": 0}, "", "notify"),
        ({"fwdDstNum": None}, "", "notify"),
        ({}, "", "notify"),
        ({"serviceType": ""}, "", "notify"),
        ({}, "/verify", "verify"),
        ({}, "/callback", "callback"),
        # nobody has seen these: the URL may know, else nobody does
        ({"serviceType": "009"}, "", None),
        ({"serviceType": {"a": 1}}, "", None),
        ({"serviceType": "009"}, "/notify", "notify"),
        ({"serviceType": "009", "fwdDstNum": B}, "", "callback"),
    ],
)
def test_the_product_is_told_by_content_before_the_url(fields: dict[str, Any], path: str, product: str | None) -> None:
    record = {"sessionId": SESSION, "icid": "1", "calleeNum": A, **fields}
    call = the_only_record(record, path).call
    assert call.product == product
    assert (call.caller if product == "callback" else call.callee) == A


@pytest.mark.parametrize(
    ("sent", "value"),
    [
        ({"fwdUnaswRsn": 17, "callOutUnaswRsn": 16}, 17),
        ({"fwdUnaswRsn": 0, "callOutUnaswRsn": 19}, 19),
        ({"callOutUnaswRsn": "19"}, "19"),
        ({"serviceType": "001", "fwdUnaswRsn": 31, "callOutUnaswRsn": 17}, 17),
    ],
)
def test_the_cause_is_that_of_the_leg_to_the_callee_if_it_has_one(sent: dict[str, Any], value: Any) -> None:
    (code,) = the_only_record(a_cdr(**sent)).call.codes
    assert (code.name, code.value) == ("q850", value)


def test_old_and_unknown_fields_pass_under_raw() -> None:
    """Section 2, rows "old": endToEndID is an integer; the direction there is none of ours."""
    record = a_cdr(
        direction=1, endToEndID=20190124030424123, mptyId="", callInTime="2019-01-24 03:04:20", origCalleeNum=B,
        recordPushURL="", ulFailReason=8999, fwdUnaswRsn=126, sipStatusCode=699, brandNew={"a": [1, None]},
    )  # fmt: skip
    body = the_only_record(record)
    assert body.raw == record
    assert (body.call.direction, body.call.called_in_at) == (None, at("03:04:20"))
    assert body.call.codes == (
        Code(name="fail_code", value=8999),
        Code(name="q850", value=126),
        Code(name="sip", value=699),
    )


def test_numbers_are_normalised_and_an_integer_counts_as_its_digits() -> None:
    """docs/contract.md section 1, Numbers."""
    call = the_only_record(a_cdr(calleeNum=13800000021, fwdDstNum="075528000001", fwdDisplayNum="95105670")).call
    assert (call.caller, call.callee, call.display_number) == (A, SHOWN, "95105670")


def test_a_batch_may_repeat_a_session() -> None:
    """Section 2, last line: do not assume uniqueness inside a batch. Section 0, batching: 50 at most."""
    records = [a_cdr(icid=str(n // 2)) for n in range(50)]
    results = DIALECT.parse(a_fee(*records), SOURCE)
    keys = [item.key for item in results if isinstance(item, Parsed)]
    assert keys == [f"cdr|{SESSION}|{n // 2}" for n in range(50)]


def test_the_key_of_a_record_holds_no_time() -> None:
    first, second = (a_cdr(callOutStartTime=f"2019-01-24 03:04:2{n}") for n in (4, 5))
    assert the_key(first) == the_key(second)


def test_a_record_without_an_id_is_known_by_its_numbers_and_earliest_time() -> None:
    """Row icid: optional; docs/design.md section 5."""
    fields = {"icid": "", "calleeNum": A, "fwdDstNum": B, "callOutStartTime": "2019-01-24 03:04:24"}
    key = the_key(a_cdr(**fields))
    assert key == the_key(a_cdr(**{**fields, "callEndTime": "2019-01-24 03:05:45", "ulFailReason": 0}))
    assert key == the_key(a_cdr(**{**fields, "callOutStartTime": "2019-01-24  03:04:24"}))
    assert key != the_key(a_cdr(**{**fields, "callOutStartTime": "2019-01-24 03:14:24"}))
    assert key != the_key(a_cdr(**{**fields, "calleeNum": B}))
    assert "13800000021" not in key


def test_a_list_of_records_needs_no_event_type() -> None:
    assert parsed_cdr(a_push({"feeLst": [a_cdr()]}))[0].kind == "cdr"


def test_the_platform_wants_to_hear_200_and_never_asks() -> None:
    """Section 0, row reply: must be 200 OK, an empty body is fine."""
    push = a_fee(a_cdr())
    assert DIALECT.reply(push) == Reply(status=200, content_type=None, body=b"")
    assert DIALECT.asks is None
