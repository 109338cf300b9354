"""Every published receipt of Aliyun, against expectations written by hand and never printed by the parser.

Sections are those of docs/protocols/aliyun-pnp.md.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from schemas.facts import (
    Announced,
    CallEvent,
    CallFields,
    Cdr,
    Code,
    KindOfFact,
    NumberState,
    Other,
    Parsed,
)
from schemas.notification import Reply
from schemas.platforms.aliyun import DIALECT
from schemas.platforms.aliyun.control import nonce, question
from schemas.platforms.aliyun.settings import AliyunSource
from schemas.platforms.aliyun.signature import verify
from tests.building.pushes import a_push, canonical, sha256
from tests.building.samples import SAMPLES_OF_ALL

SAMPLES = SAMPLES_OF_ALL / "aliyun_pnp"
A, B, X, STRANGER = "+8613800000001", "+8613900000003", "17000000002", "+8613700000009"
X_E164 = "+8617000000002"  # docs/contract.md section 1, Numbers: ^1\d{10}$ becomes +86...
POOL = "FC100000000000001"
# Section 4.4: a SecretRecording says the same, so it is one recording; the link is a spare.
LINK = "https://rec-demo.oss-cn-shanghai.aliyuncs.com/4361aa01bb02cc03.mp3?Expires=1712&Signature=a%2Bb%3D"


def a_source(**settings: Any) -> AliyunSource:
    return AliyunSource.model_validate({"name": "aliyun", "platform": "aliyun_pnp", "tokens": ["token"], **settings})


def sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


def at(clock: str) -> datetime:
    """Section 4: times are Beijing time, UTC+8; `clock` is that time on 2024-03-05 less eight hours."""
    return datetime.fromisoformat(f"2024-03-05T{clock}+00:00")


def told(**fields: Any) -> CallFields:
    """Section 4.1: phone_no is A, secret_no X, peer_no B; out_id is ours; sub_id is the binding."""
    base: dict[str, Any] = {
        "product": "pnp",
        "private_number": X_E164,
        "binding_id": "1000043068030001",
        "user_data": "order-88001",
    }
    return CallFields(**{**base, **fields})


NORMAL = Code(name="fail_code", value=0, text="normal")  # section 4.1, unconnected_cause 0

ANSWERED = Cdr(
    record_id="1014568510002",  # row id: a Number here, kept as text
    call=told(
        direction="a_to_b",  # row call_type: 0, A calls (phone_no -> peer_no)
        caller=A,
        callee=B,
        display_number=X_E164,
        called_in_at=at("06:07:08"),  # call_time, caller dialled
        started_at=at("06:07:09"),  # call_out_time
        ringing_at=at("06:07:13"),  # free_ring_time later than call_out_time: it truly rang
        answered_at=at("06:07:20"),  # start_time, for release_time is later
        ended_at=at("06:08:25"),  # release_time
        codes=(NORMAL, Code(name="q850", value=16, outcome="cancelled", text="normal hang-up")),
    ),
    recordings=(Announced(name="4361aa01bb02cc03", domain=POOL, url=LINK, called_at=at("06:07:08")),),
    implies=(),  # docs/design.md section 5, Whole: Aliyun = SecretReport
    raw=json.loads(sample("secret_report.json"))[0],
)
UNANSWERED = Cdr(
    record_id="1014568510003",
    call=told(
        direction="b_to_a",  # row call_type: 1, A is called
        caller=B,
        callee=A,
        display_number=X_E164,
        called_in_at=at("07:00:00"),
        started_at=at("07:00:01"),
        ringing_at=at("07:00:05"),
        ended_at=at("07:00:35"),  # start_time = release_time: unanswered
        codes=(NORMAL, Code(name="q850", value=19, outcome="no_answer", text="no answer")),
    ),
    raw=json.loads(sample("secret_report.json"))[1],
)
BLOCKED = Cdr(
    record_id="1014568510004",
    call=told(
        direction="abnormal",  # row call_type: 4, call blocked
        caller=STRANGER,
        binding_id=None,  # section 7 trap 7: an unbound call has no usable sub_id and peer_no
        user_data=None,
        called_in_at=at("07:10:00"),
        ended_at=at("07:10:02"),  # call_out_time = call_time: no leg; ring_time = call_out_time: no ringing
        codes=(
            Code(name="fail_code", value=2, outcome="blocked", text="no binding"),  # docs/contract.md section 1
            Code(name="q850", value=31, text="normal, unspecified"),
        ),
    ),
    raw=json.loads(sample("secret_report.json"))[2],
)
# Section 4.2: SecretStartReport; call_time is when the caller dialled.
STARTED = CallEvent(
    type="incoming",
    platform_type="SecretStartReport",
    at=at("06:07:08"),
    caller=A,
    callee=B,
    call=told(
        direction="a_to_b",
        caller=A,
        callee=B,
        display_number=X_E164,
        called_in_at=at("06:07:08"),
        codes=(NORMAL,),
    ),
    raw=json.loads(sample("secret_start_report.json"))[0],
)
# Section 4.3: SecretRingReport; call_type and sub_id are strings here.
RANG = CallEvent(
    type="ringing",
    platform_type="SecretRingReport",
    at=at("06:07:13"),
    caller=A,
    callee=B,
    call=told(direction="a_to_b", caller=A, callee=B, called_in_at=at("06:07:08"), ringing_at=at("06:07:13")),
    raw=json.loads(sample("secret_ring_report.json"))[0],
)


def a_fact(kind: KindOfFact, session: str, key: str, body: Any) -> Parsed:
    return Parsed(kind=kind, session_id=session, key=key, fingerprint=sha256(canonical(body.raw)), body=body)


def an_event_key(kind: str, clock: str) -> str:
    """docs/design.md section 5: (source, session id, type, called, timestamp); dedupe adds the source."""
    return f"event|4361aa01bb02cc03|{kind}|{sha256(B)[:16]}|{at(clock).isoformat()}"


def kept_raw(name: str) -> list[Parsed]:
    """Kept whole, by the digest of what was sent."""
    sent = json.loads(sample(name))
    (row,) = sent if isinstance(sent, list) else [sent]
    session = row.get("callId", "")
    return [a_fact("other", session, f"other|{sha256(canonical(row))}", Other(raw=row))]


def number_states() -> list[Parsed]:
    """Section 4.7."""
    (row,) = json.loads(sample("number_management_report.json"))
    return [a_fact("number_state", "", f"number|{sha256(canonical(row))}", NumberState(raw=row))]


GOLDEN: dict[tuple[str, str], list[Parsed]] = {
    # Section 4.1, last lines: the key of a call is (SecretReport, call_id)
    ("SecretReport", "secret_report.json"): [
        a_fact("cdr", "4361aa01bb02cc03", "cdr|4361aa01bb02cc03", ANSWERED),
        a_fact("cdr", "4361aa01bb02cc04", "cdr|4361aa01bb02cc04", UNANSWERED),
        a_fact("cdr", "4361aa01bb02cc05", "cdr|4361aa01bb02cc05", BLOCKED),
    ],
    ("SecretStartReport", "secret_start_report.json"): [
        a_fact("call_event", "4361aa01bb02cc03", an_event_key("secretstartreport", "06:07:08"), STARTED)
    ],
    ("SecretRingReport", "secret_ring_report.json"): [
        a_fact("call_event", "4361aa01bb02cc03", an_event_key("secretringreport", "06:07:13"), RANG)
    ],
    ("SecretAsrReport", "secret_asr_report.json"): kept_raw("secret_asr_report.json"),
    ("SmartLogisticsReport", "smart_logistics_report.json"): kept_raw("smart_logistics_report.json"),
    ("SecretExceptionPhoneReport", "secret_exception_phone_report.mns.json"): kept_raw(
        "secret_exception_phone_report.mns.json"  # section 5: one object, no array
    ),
    ("NumberManagementReport", "number_management_report.json"): number_states(),
}


@pytest.mark.parametrize(("named", "name"), GOLDEN)
@pytest.mark.parametrize("path", ["", "/", "/{}", "/receipts/{}", "/{}/", "/{}?from=console", "/hook"])
def test_a_published_receipt_is_read_as_its_page_says(named: str, name: str, path: str) -> None:
    """docs/contract.md section 3: the last segment of the path may name the type; without one the shape rules do."""
    push = a_push(sample(name), path.format(named))
    assert DIALECT.parse(push, a_source()) == GOLDEN[named, name]


@pytest.mark.parametrize(("named", "name"), GOLDEN)
def test_the_name_in_the_path_is_read_in_any_case(named: str, name: str) -> None:
    for spelled in (named.lower(), named.upper()):
        assert DIALECT.parse(a_push(sample(name), f"/{spelled}"), a_source()) == GOLDEN[named, name]


def test_every_receipt_sample_has_its_expectation() -> None:
    tested = {name for _, name in GOLDEN} | {"ack.json"}
    assert {path.name for path in SAMPLES.glob("*.json") if not path.name.startswith("xmode")} == tested


def test_a_receipt_from_the_message_queue_is_one_object() -> None:
    """Section 5: one JSON object per message, same field names."""
    alone = json.dumps(ANSWERED.raw).encode()
    assert DIALECT.parse(a_push(alone), a_source()) == GOLDEN["SecretReport", "secret_report.json"][:1]


def test_the_source_knows_the_mode() -> None:
    """docs/contract.md section 1, mode: no receipt tells it, the source's key does."""
    (fact, *_) = DIALECT.parse(a_push(sample("secret_report.json")), a_source(mode="AXB"))
    assert isinstance(fact, Parsed)
    assert isinstance(fact.body, Cdr)
    assert fact.body.call.mode == "AXB"


@pytest.mark.parametrize("name", ["secret_report.json", "secret_start_report.json", "smart_logistics_report.json"])
def test_a_receipt_is_answered_with_a_number_as_code(name: str) -> None:
    """Section 4: HTTP 200 and `code` a number are all that is looked at; the words are docs/contract.md section 3."""
    assert DIALECT.reply(a_push(sample(name))) == Reply(
        status=200, content_type="application/json", body=b'{"code":0,"msg":"ok"}'
    )
    published = json.loads(sample("ack.json"))
    answered = json.loads(DIALECT.reply(a_push(sample(name))).body)
    assert (answered.keys(), answered["code"]) == (published.keys(), published["code"])


@pytest.mark.parametrize("name", [name for _, name in GOLDEN])
def test_receipts_ask_nothing_and_carry_no_signature(name: str) -> None:
    """Section 4: no signature, no auth header documented."""
    push = a_push(sample(name), "/SecretReport?callId=1&signature=x")
    source = a_source(app_secret="s")
    assert question(push, source) is None
    assert verify(push, source, at("06:07:08")) is None
    assert nonce(push) is None
