"""What X mode asks and what it is answered: docs/protocols/aliyun-pnp.md section 3, expectations written by hand."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest

from schemas.facts import CallEvent, CallFields, Other, Parsed, Sms
from schemas.notification import Notification
from schemas.platforms.aliyun import DIALECT
from schemas.platforms.aliyun.answers import answer
from schemas.platforms.aliyun.control import nonce, question
from schemas.platforms.aliyun.settings import AliyunSource
from schemas.question import Asked, Decision
from tests.building.samples import SAMPLES_OF_ALL

SAMPLES = SAMPLES_OF_ALL / "aliyun_pnp"
SAMPLE = (SAMPLES / "xmode_call_control_request.form").read_bytes()
A, X = "+8613800000001", "+8617000000002"
AT = datetime(2024, 3, 5, 6, 7, 8, tzinfo=UTC)  # callTime 20240305140708 is Beijing time [inferred]
BUSINESS = {
    "callNo": "13800000001",
    "secretNo": "17000000002",
    "recordType": "CAL",
    "callTime": "20240305140708",
    "callId": "8f3c2b1a9d7e4c60",
}
REJECTED = json.loads((SAMPLES / "xmode_call_control_response_no_binding.json").read_bytes())


def a_source(**settings: Any) -> AliyunSource:
    return AliyunSource.model_validate({"name": "aliyun", "platform": "aliyun_pnp", "tokens": ["token"], **settings})


def a_push(body: bytes, path: str = "") -> Notification:
    return Notification(path=path, remote="192.0.2.1", content_type="application/x-www-form-urlencoded", body=body)


def asking(**changed: Any) -> Notification:
    params = {name: value for name, value in {**BUSINESS, **changed}.items() if value is not None}
    return a_push(urlencode(params).encode())


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def the_fact(push: Notification, **settings: Any) -> Parsed:
    (item,) = DIALECT.parse(push, a_source(**settings))
    assert isinstance(item, Parsed)
    return item


def the_model(push: Notification, decision: Decision, **settings: Any) -> dict[str, Any]:
    reply = answer(push, decision, a_source(**settings))
    envelope: dict[str, Any] = json.loads(reply.body)
    assert (reply.status, reply.content_type) == (200, "application/json")
    assert (envelope["code"], envelope["message"], set(envelope)) == ("OK", "success", {"code", "message", "model"})
    model: dict[str, Any] = envelope["model"]
    return model


KEY = f"event|8f3c2b1a9d7e4c60|callcontrol|{sha256(X)[:16]}|{AT.isoformat()}"
FINGERPRINT = sha256(json.dumps(BUSINESS, sort_keys=True, separators=(",", ":")))


def test_the_published_request_is_a_call_that_comes_in() -> None:
    assert the_fact(a_push(SAMPLE)) == Parsed(
        kind="call_event",
        session_id="8f3c2b1a9d7e4c60",
        key=KEY,
        fingerprint=FINGERPRINT,
        body=CallEvent(
            type="incoming",
            platform_type="CallControl",
            at=AT,
            leg=None,
            caller=A,
            callee=X,
            call=CallFields(product="pnp", mode="X", caller=A, private_number=X, called_in_at=AT),
            raw=BUSINESS,
        ),
    )


def test_the_published_request_asks_where_to_connect() -> None:
    assert question(a_push(SAMPLE), a_source()) == Asked(
        kind="call", session_id="8f3c2b1a9d7e4c60", key=KEY, fingerprint=FINGERPRINT, caller=A, number=X
    )


def test_the_same_question_asked_again_is_the_same_fact() -> None:
    again = a_push(
        SAMPLE.replace(b"signatureNonce=0f6e", b"signatureNonce=1f6e").replace(b"06%3A07%3A08", b"06%3A07%3A09")
    )
    assert again.body != SAMPLE
    assert the_fact(again) == the_fact(a_push(SAMPLE))


def test_a_question_may_come_in_the_query_string() -> None:
    """Section 2: whether query or form was not found."""
    asked = question(a_push(b"", f"/control?{SAMPLE.decode().strip()}"), a_source())
    assert asked == question(a_push(SAMPLE), a_source())


def test_an_extension_is_asked_with_its_zeros() -> None:
    """Row extension: only in the enter-an-extension scenario."""
    push = asking(extension="0012")
    asked, fact = question(push, a_source()), the_fact(push)
    assert asked is not None
    assert isinstance(fact.body, CallEvent)
    assert (asked.extension, fact.body.call.extension) == ("0012", "0012")


@pytest.mark.parametrize("record_type", ["CAL", "CALL", "cal"])
def test_a_call_is_spelled_cal_here_and_call_in_the_sibling(record_type: str) -> None:
    asked = question(asking(recordType=record_type), a_source())
    assert asked is not None
    assert asked.kind == "call"


def test_an_sms_is_asked_about_too() -> None:
    """Row recordType: SMS; its text is not among the parameters."""
    push = asking(recordType="SMS")
    fact = the_fact(push)
    assert (fact.kind, fact.session_id, fact.key) == ("sms", "8f3c2b1a9d7e4c60", "sms|8f3c2b1a9d7e4c60|block")
    assert fact.body == Sms(
        identifier="8f3c2b1a9d7e4c60",
        mode="block",
        sender=A,
        private_number=X,
        sent_at=AT,
        raw={**BUSINESS, "recordType": "SMS"},
    )
    assert question(push, a_source()) == Asked(
        kind="sms", session_id=fact.session_id, key=fact.key, fingerprint=fact.fingerprint, caller=A, number=X
    )


@pytest.mark.parametrize("time", ["2024-03-05 14:07:08", "20240305140708"])
def test_the_time_of_the_call_is_beijing_time(time: str) -> None:
    body = the_fact(asking(callTime=time)).body
    assert isinstance(body, CallEvent)
    assert body.at == AT


@pytest.mark.parametrize("time", [None, "", "20241399999999", "soon", "00010101000000"])
def test_a_time_that_cannot_be_read_keeps_no_caller_waiting(time: str | None) -> None:
    push = asking(callTime=time)
    body = the_fact(push).body
    assert isinstance(body, CallEvent)
    assert body.at is None
    assert question(push, a_source()) is not None


@pytest.mark.parametrize("record_type", ["FAX", "", None])
def test_an_unknown_kind_of_question_is_kept_and_refused(record_type: str | None) -> None:
    push = asking(recordType=record_type)
    assert isinstance(the_fact(push).body, Other)
    assert question(push, a_source()) is None
    assert json.loads(DIALECT.reply(push).body) == REJECTED
    assert the_model(push, Decision(action="connect", callee="+8613900000003")) == REJECTED["model"]


def test_a_question_that_is_not_asked_is_refused_and_no_receipt() -> None:
    """Section 3: decide a default, REJECT with NO_SUBS_EXIST."""
    assert json.loads(DIALECT.reply(a_push(SAMPLE)).body) == REJECTED


@pytest.mark.parametrize("action", ["close", "discard", "route"])
def test_a_call_that_is_not_connected_has_no_binding(action: Any) -> None:
    """The published answer without a binding; `route` and `discard` are for SMS and do not fit."""
    assert the_model(a_push(SAMPLE), Decision(action=action, callee="+8613900000003")) == REJECTED["model"]


def test_connecting_nobody_is_no_connection() -> None:
    assert the_model(a_push(SAMPLE), Decision(action="connect")) == REJECTED["model"]


def test_the_published_answer_connects_by_binding_and_plays_a_prompt() -> None:
    published = json.loads((SAMPLES / "xmode_call_control_response_continue.json").read_bytes())
    decision = Decision(action="connect", user_data="20240305001", tones={"callNoPlayCode": "185"})
    assert the_model(a_push(SAMPLE), decision) == published["model"]


def test_a_callee_is_named_flat_and_as_the_sibling_has_it() -> None:
    """Documented: the first three. [inferred] the sibling's names in lowerCamel, numbers in national form."""
    decision = Decision(action="connect", callee="+8613900000003", record=True, max_minutes=30)
    assert the_model(a_push(SAMPLE), decision) == {
        "controlOperate": "CONTINUE",
        "controlMsg": "OK",
        "subsId": "0",  # digits only, "0" when none
        "calledNo": "13900000003",
        "calledDisplayNo": "17000000002",
        "needRecord": True,
        "callDuration": 1800,
        "subs": {"calledNo": "13900000003", "calledDisplayNo": "17000000002", "needRecord": True, "subsId": "0"},
    }


@pytest.mark.parametrize(
    ("user_data", "subs_id"), [("7", "7"), ("order-1", "0"), ("", "0"), (None, "0"), ("٣", "0"), ("1.5", "0")]
)
def test_the_binding_id_has_only_figures(user_data: str | None, subs_id: str) -> None:
    decision = Decision(action="connect", callee="+8613900000003", user_data=user_data)
    assert the_model(a_push(SAMPLE), decision)["subsId"] == subs_id


@pytest.mark.parametrize(
    ("e164", "national"),
    [("+8613900000003", "13900000003"), ("+861012345678", "01012345678"), ("+4930123456", "+4930123456"), ("95", "95")],
)
def test_numbers_go_out_in_the_form_in_which_they_come_in(e164: str, national: str) -> None:
    assert the_model(a_push(SAMPLE), Decision(action="connect", callee=e164))["calledNo"] == national


def test_tones_may_ask_for_a_prompt_to_the_caller() -> None:
    """Section 3: controlOperate IVR = play to the caller."""
    tones = {"controlOperate": "IVR", "callNoPlayCode": "185", "unknown": "x", "subsId": "9"}
    model = the_model(a_push(SAMPLE), Decision(action="close", tones=tones))
    assert model == {**REJECTED["model"], "controlOperate": "IVR", "callNoPlayCode": "185"}


def test_tones_can_ask_for_nothing_else() -> None:
    tones = {"controlOperate": "CONTINUE"}
    assert the_model(a_push(SAMPLE), Decision(action="close", tones=tones)) == REJECTED["model"]


def test_an_sms_is_routed_or_dropped() -> None:
    """[inferred] the sibling's sms_channel: SMS_NORMAL_SEND, SMS_DROP."""
    push = asking(recordType="SMS")
    routed = the_model(push, Decision(action="route", callee="+8613900000003"))
    assert (routed["controlOperate"], routed["calledNo"], routed["smsChannel"]) == (
        "CONTINUE",
        "13900000003",
        "SMS_NORMAL_SEND",
    )
    dropped = the_model(push, Decision(action="discard"))
    assert dropped == {**REJECTED["model"], "subs": {"smsChannel": "SMS_DROP"}}
    assert the_model(push, Decision(action="connect", callee="+8613900000003"))["controlOperate"] == "REJECT"


def test_the_model_may_be_json_in_a_string() -> None:
    """Section 3: the table types it String, its text says a structure: a setting."""
    model: Any = the_model(a_push(SAMPLE), Decision(action="close"), model_shape="string")
    assert isinstance(model, str)
    assert json.loads(model) == REJECTED["model"]


@pytest.mark.parametrize("name", ["xmode_call_control_response_no_binding", "xmode_call_control_response_continue"])
def test_every_x_mode_sample_is_used(name: str) -> None:
    assert (SAMPLES / f"{name}.json").exists()
    assert {path.name for path in SAMPLES.glob("xmode*")} == {
        "xmode_call_control_request.form",
        "xmode_call_control_response_no_binding.json",
        "xmode_call_control_response_continue.json",
    }


def test_the_nonce_of_a_question_is_told() -> None:
    assert nonce(a_push(SAMPLE)) == "0f6e5b0c-6a1e-4f6b-9d0a-2b7c1f1e9a10"
    assert nonce(asking()) is None


def test_no_key_spells_a_number() -> None:
    assert "13800000001" not in KEY + the_fact(a_push(SAMPLE)).key
    assert "17000000002" not in the_fact(a_push(SAMPLE)).key
