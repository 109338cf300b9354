"""Every published CDR of PrivateNumber, against expectations written by hand and never printed by the parser.

Sections are those of docs/protocols/huawei-privatenumber.md, tables of docs/protocols/huawei-reason-codes.md.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

import pytest

from schemas.facts import Announced, CallFields, Cdr, Code, Parsed
from schemas.notification import Notification, Reply
from schemas.platforms.huawei.privatenumber import DIALECT
from schemas.platforms.huawei.privatenumber.settings import PrivateNumberSource
from tests.building.pushes import a_push
from tests.building.samples import SAMPLES_OF_ALL

SAMPLES = SAMPLES_OF_ALL / "huawei_privatenumber"

SESSION = "1200_1827_4294967295_20190124023003@callenabler246.huaweicaas.com"
SESSION_AXE = "1202_1051_4294967295_20190124070250@callenabler246.huaweicaas.com"
RECORD = "ba171f34e6953fcd751edc77127748f4.3757285803.338666679.5"
RECORD_AXE = "ba171f34e6953fcd751edc77127748f4.3757289590.338833305.5"
BINDING = "1d39eaef-9279-4d18-b806-72e43ab3f85c"
A, B, X, Y = "+8613800000021", "+8613866887021", "+8613800000022", "+8617010000002"

# Section 3: all five times are there, so all five events happened (docs/design.md section 5, Whole).
ALL_FIVE = ("incoming", "outgoing", "ringing", "answered", "ended")
# Tables B and E, and section 3, row sipStatusCode: 0 says that nothing failed, and decides no outcome.
NOTHING_FAILED = (
    Code(name="fail_code", value=0, text="no failure"),
    Code(name="q850", value=0, text="not applicable"),
    Code(name="sip", value=0),
)
# Section 3, rows recordFlag, recordObjectName, recordDomain; there is no recordFileDownloadUrl.
ONE_FILE = (Announced(name="19012402300612050118304.wav", domain="ostor.example.com"),)


def a_source(**settings: Any) -> PrivateNumberSource:
    row = {"name": "huawei-bj", "platform": "huawei_privatenumber", "tokens": ["token"], **settings}
    return PrivateNumberSource.model_validate(row)


def a_cdr(**fields: Any) -> dict[str, Any]:
    return {"sessionId": SESSION, "icid": "record-1", "serviceType": "004", **fields}


def a_fee(*records: Any) -> Notification:
    return a_push({"eventType": "fee", "feeLst": records})


def the_only_record(record: dict[str, Any], **settings: Any) -> Cdr:
    (parsed,) = DIALECT.parse(a_fee(record), a_source(**settings))
    assert isinstance(parsed, Parsed)
    assert isinstance(parsed.body, Cdr)
    return parsed.body


def the_key(record: dict[str, Any]) -> str:
    (parsed,) = DIALECT.parse(a_fee(record), a_source())
    assert isinstance(parsed, Parsed)
    return parsed.key


def at(clock: str) -> datetime:
    """Section 0, time zone: all `yyyy-MM-dd HH:mm:ss` strings are UTC."""
    return datetime.fromisoformat(f"2019-01-24T{clock}+00:00")


def the_call(**fields: Any) -> CallFields:
    """Section 3: callerNum is the real caller, fwdDstNum the real callee, bindNum the X (Y), all times present."""
    call: dict[str, Any] = {
        "product": "privatenumber",
        "caller": A,
        "callee": B,
        "private_number": X,
        "display_number": X,
        "binding_id": BINDING,
        "called_in_at": at("02:30:03"),
        "started_at": at("02:30:03"),
        "ringing_at": at("02:30:04"),
        "answered_at": at("02:30:06"),
        "ended_at": at("02:30:22"),
        "codes": NOTHING_FAILED,
    }
    return CallFields(**{**call, **fields})


GOLDEN: list[tuple[str, str | None, CallFields]] = [
    # row direction: AX 1 = A calls others; row serviceType: 003
    ("ax-fee.json", None, the_call(mode="AX", direction="a_to_b")),
    # AXB 1 = A calls B; 004 without notifyMode
    ("axb-fee.json", None, the_call(mode="AXB", direction="a_to_b")),
    # the number dialled and shown is Y; 007
    ("axyb-fee.json", None, the_call(mode="AXYB", direction="a_to_b", private_number=Y, display_number=Y)),
    # "the AXYB demo prints serviceType 003": read as AX, unless the source knows better
    ("axyb-fee-servicetype-003.json", None, the_call(mode="AX", direction="a_to_b")),
    ("axyb-fee-servicetype-003.json", "AXYB", the_call(mode="AXYB", direction="a_to_b")),
    # AXE 0 = others call A; rows extendNumber (zeros kept) and serviceType 005; B's number is the caller
    (
        "axe-fee.json",
        None,
        the_call(
            mode="AXE", direction="b_to_a", caller=B, callee=A, extension="0012",
            called_in_at=at("07:02:50"), started_at=at("07:02:59"), ringing_at=at("07:03:01"),
            answered_at=at("07:03:05"), ended_at=at("07:03:28"),
        ),
    ),
    # 004 with notifyMode is X; userData echoes the reply; subscriptionId is ""; direction 1 by table F
    ("x-fee.json", None, the_call(mode="X", direction="a_to_b", binding_id=None, user_data="userflag001")),
]  # fmt: skip


@pytest.mark.parametrize(("sample", "mode", "call"), GOLDEN, ids=lambda value: value if isinstance(value, str) else "")
def test_a_published_cdr_is_read_as_its_page_says(sample: str, mode: str | None, call: CallFields) -> None:
    sent = (SAMPLES / sample).read_bytes()
    raw = json.loads(sent)["feeLst"][0]
    session, record = (SESSION_AXE, RECORD_AXE) if sample.startswith("axe") else (SESSION, RECORD)
    expected = Parsed(
        kind="cdr",
        session_id=session,
        key=f"cdr|{session}|{record}",  # docs/design.md section 5: without any timestamp; dedupe adds the source
        fingerprint=hashlib.sha256(json.dumps(raw, sort_keys=True, separators=(",", ":")).encode()).hexdigest(),
        body=Cdr(record_id=record, call=call, recordings=ONE_FILE, implies=ALL_FIVE, raw=raw),
    )
    assert DIALECT.parse(a_push(sent), a_source(mode=mode)) == [expected]


def test_every_cdr_sample_has_its_expectation() -> None:
    assert {row[0] for row in GOLDEN} == {path.name for path in SAMPLES.glob("*-fee*.json")}


@pytest.mark.parametrize(
    ("fields", "mode"),
    [
        ({"serviceType": "003"}, "AX"),
        ({"serviceType": "004"}, "AXB"),
        ({"serviceType": "004", "notifyMode": ""}, "AXB"),
        ({"serviceType": "004", "notifyMode": "Block"}, "X"),
        ({"serviceType": None, "notifyMode": "Block"}, "X"),
        ({"serviceType": "005"}, "AXE"),
        ({"serviceType": "007"}, "AXYB"),
        ({"serviceType": "006"}, None),
        ({"serviceType": 4}, "AXB"),
        ({"serviceType": {}}, None),
    ],
)
def test_no_record_is_refused_for_its_service_type(fields: dict[str, Any], mode: str | None) -> None:
    """Section 3, row serviceType and the remark under the table."""
    assert the_only_record(a_cdr(**fields)).call.mode == mode


@pytest.mark.parametrize("mode", ["AX", "AXB", "AXYB", "AXE", "X"])
@pytest.mark.parametrize(
    ("sent", "direction"),
    [(0, "b_to_a"), (1, "a_to_b"), ("1", "a_to_b"), (2, "abnormal"), (3, None), (None, None), (True, None)],
)
def test_the_direction_is_read_by_row_direction_of_section_3(mode: str, sent: Any, direction: str | None) -> None:
    assert the_only_record(a_cdr(direction=sent), mode=mode).call.direction == direction


def test_a_call_without_a_binding_is_abnormal_and_blocked() -> None:
    """Section 3, rows direction (2), subscriptionId (empty, expect 8014); no forward, so only X is known."""
    record = a_cdr(
        direction=2, subscriptionId="", callerNum=A, calleeNum=X, bindNum=X, callInTime="2019-01-24 02:30:03",
        callEndTime="2019-01-24 02:30:05", failTime="2019-01-24 02:30:05", ulFailReason=8014, fwdUnaswRsn=0,
        callOutUnaswRsn=0, sipStatusCode=0, recordFlag=0,
    )  # fmt: skip
    assert the_only_record(record) == Cdr(
        record_id="record-1",
        call=CallFields(
            product="privatenumber",
            mode="AXB",
            direction="abnormal",
            caller=A,
            private_number=X,
            called_in_at=at("02:30:03"),
            ended_at=at("02:30:05"),
            codes=(
                Code(name="fail_code", value=8014, outcome="blocked", text="no AXB or X binding, or bad number format"),
                Code(name="q850", value=0, text="not applicable"),
                Code(name="sip", value=0),
            ),
        ),
        implies=("incoming", "ended"),
        raw=record,
    )


def test_a_busy_callee_is_told_by_three_codes() -> None:
    """Tables B (8102 as in A), E 17; docs/contract.md section 1, SIP 486."""
    record = a_cdr(ulFailReason=8102, fwdUnaswRsn=17, sipStatusCode=486)
    assert the_only_record(record).call.codes == (
        Code(name="fail_code", value=8102, outcome="busy", text="callee busy"),
        Code(name="q850", value=17, outcome="busy", text="user busy"),
        Code(name="sip", value=486, outcome="busy", text="Busy Here"),
    )


@pytest.mark.parametrize(
    ("sent", "value"),
    [
        ({"fwdUnaswRsn": 17, "callOutUnaswRsn": 19}, 17),
        ({"fwdUnaswRsn": 0, "callOutUnaswRsn": 19}, 19),
        ({"callOutUnaswRsn": 19}, 19),
        ({"fwdUnaswRsn": 17}, 17),
        ({"fwdUnaswRsn": 0}, 0),
        ({"fwdUnaswRsn": None, "callOutUnaswRsn": 0}, 0),
    ],
)
def test_the_cause_is_that_of_the_leg_that_has_one(sent: dict[str, Any], value: int) -> None:
    (code,) = the_only_record(a_cdr(**sent)).call.codes
    assert (code.name, code.value) == ("q850", value)


@pytest.mark.parametrize("field", ["extendNumber", "extendNum"])
def test_both_spellings_of_the_extension_count(field: str) -> None:
    """Section 3, row extendNumber / extendNum."""
    assert the_only_record(a_cdr(**{field: "0001"})).call.extension == "0001"


def test_without_bind_num_the_dialled_number_is_the_private_one() -> None:
    """Section 3, row calleeNum: X/Y, not the real callee."""
    call = the_only_record(a_cdr(calleeNum=X)).call
    assert (call.private_number, call.callee) == (X, None)
    assert the_only_record(a_cdr(calleeNum=Y, bindNum=X)).call.private_number == X


def test_fields_and_codes_that_nobody_has_seen_pass_under_raw() -> None:
    record = a_cdr(
        ulFailReason=8999, fwdUnaswRsn=126, sipStatusCode=699, callRelDirection="?", brandNew={"a": [1, None]}
    )
    body = the_only_record(record)
    assert body.raw == record
    assert body.call.codes == (
        Code(name="fail_code", value=8999),
        Code(name="q850", value=126),
        Code(name="sip", value=699),
    )


def test_two_records_of_one_session_have_two_keys() -> None:
    """Section 0, links: some handsets redial by themselves, and one of the two has no times."""
    assert the_key(a_cdr(icid="1")) != the_key(a_cdr(icid="2"))


def test_the_key_of_a_record_holds_no_time() -> None:
    assert the_key(a_cdr(callInTime="2019-01-24 02:30:03")) == the_key(a_cdr(callInTime="2019-01-24 02:30:04"))


def test_a_record_without_an_id_is_known_by_its_numbers_and_earliest_time() -> None:
    fields = {"icid": "", "callerNum": A, "calleeNum": X, "callInTime": "2019-01-24 02:30:03"}
    key = the_key(a_cdr(**fields))
    assert key == the_key(a_cdr(**{**fields, "callEndTime": "2019-01-24 02:30:22", "ulFailReason": 0}))
    assert key != the_key(a_cdr(**{**fields, "callInTime": "2019-01-24 02:31:03"}))
    assert key != the_key(a_cdr(**{**fields, "callerNum": B}))
    assert key != the_key(a_cdr(**{**fields, "fwdDstNum": B}))
    assert "13800000021" not in key


def test_a_list_of_records_needs_no_event_type() -> None:
    (parsed,) = DIALECT.parse(a_push({"feeLst": [a_cdr()]}), a_source())
    assert isinstance(parsed, Parsed)
    assert parsed.kind == "cdr"


def test_the_platform_wants_to_hear_200_and_nothing_more() -> None:
    """Section 0, expected reply."""
    assert DIALECT.reply(a_fee(a_cdr())) == Reply(status=200, content_type=None, body=b"")
