"""Every published CDR of VoiceCall, against expectations written by hand and never printed by the parser.

Sections are those of docs/protocols/huawei-voicecall.md, tables of docs/protocols/huawei-reason-codes.md.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime

import pytest

from schemas.facts import Announced, CallFields, Cdr, Code, Leg, Parsed
from schemas.notification import Notification
from schemas.platforms.huawei.voicecall import DIALECT
from schemas.platforms.huawei.voicecall.settings import VoiceCallSource
from tests.building.pushes import a_push
from tests.building.samples import SAMPLES_OF_ALL

SOURCE = VoiceCallSource.model_validate({"name": "huawei-vc", "platform": "huawei_voicecall", "tokens": ["token"]})
SAMPLES = SAMPLES_OF_ALL / "huawei_voicecall"

CALLBACK_SESSION = "1201_612_4294967295_20190124030424@callenabler245.huaweicaas.com"
NOTIFY_SESSION = "1201_12897_4294967295_20180522064331@callenabler245.huaweicaas.com"
A, B, SHOWN = "+8613800000021", "+8613800000022", "+8675528000001"

# Table D, 0; table E, 0; section 2, row sipStatusCode: 0 says that nothing failed, and decides no outcome.
NOTHING_FAILED = (
    Code(name="fail_code", value=0, text="no failure"),
    Code(name="q850", value=0, text="not applicable"),
    Code(name="sip", value=0),
)


def the_body(push: Notification) -> Cdr:
    (parsed,) = DIALECT.parse(push, SOURCE)
    assert isinstance(parsed, Parsed)
    assert isinstance(parsed.body, Cdr)
    return parsed.body


def at(clock: str, day: str = "2019-01-24") -> datetime:
    """Section 0, row times: UTC."""
    return datetime.fromisoformat(f"{day}T{clock}+00:00")


def in_may(clock: str) -> datetime:
    return at(clock, "2018-05-22")


CALLBACK = Cdr(
    record_id="CAE-20190124110424-12016920",  # row icid
    call=CallFields(
        product="callback",  # row serviceType: 002
        caller=A,  # row calleeNum: real A, the "caller" of the request
        callee=B,  # row fwdDstNum: real B
        display_number=SHOWN,  # row fwdDisplayNum: number shown to B
        user_data="customerId123",
        started_at=at("03:04:24"),  # row callOutStartTime: leg A is called first
        ringing_at=at("03:04:41"),  # row fwdAlertingTime
        answered_at=at("03:04:45"),  # "answered = presence of fwdAnswerTime"
        ended_at=at("03:05:45"),
        codes=NOTHING_FAILED,
    ),
    legs=(
        # rows callOutStartTime, callOutAlertingTime, callOutAnswerTime: leg A
        Leg(
            name="a", number=A, started_at=at("03:04:24"), ringing_at=at("03:04:30"), answered_at=at("03:04:36"),
        ),
        # rows fwdStartTime, fwdAlertingTime, fwdAnswerTime: leg B
        Leg(
            name="b", number=B, started_at=at("03:04:37"), ringing_at=at("03:04:41"), answered_at=at("03:04:45"),
        ),
    ),
    # rows recordObjectName, recordDomain; recordFileDownloadUrl is ""
    recordings=(Announced(name="1200_366_0_20161228102743.wav", domain="ostor.example.com"),),
    # docs/design.md section 5, Whole: ended, and the implied events of both legs
    implies=("outgoing.a", "ringing.a", "answered.a", "outgoing.b", "ringing.b", "answered.b", "ended"),
)  # fmt: skip


def a_notify(product: str) -> Cdr:
    """Row serviceType: 001 is voice playback, notify; verify is assumed to say the same."""
    return Cdr(
        record_id="CAE-20180522144331-12016921",
        call=CallFields(
            product=product,
            callee=A,  # row calleeNum: called user; docs/contract.md section 1: caller null
            display_number=SHOWN,  # row callerNum: display number
            user_data="customerId123",
            started_at=in_may("06:43:31"),
            ringing_at=in_may("06:43:40"),
            answered_at=in_may("06:43:50"),  # row callOutAnswerTime: ring, answer
            ended_at=in_may("06:44:10"),
            codes=NOTHING_FAILED,
        ),
        recordings=(),  # row recordFlag: present (0)
        implies=("ended",),  # docs/design.md section 5: CDR and ended
    )


GOLDEN = [
    ("callback-fee.json", "", CALLBACK_SESSION, CALLBACK),
    ("callback-fee.json", "/fee", CALLBACK_SESSION, CALLBACK),
    ("callback-fee.json", "/verify", CALLBACK_SESSION, CALLBACK),  # what the CDR says counts more than its URL
    ("notify-fee.json", "", NOTIFY_SESSION, a_notify("notify")),
    ("notify-fee.json", "/callback", NOTIFY_SESSION, a_notify("notify")),
    # no CDR of verify was published; where it says 001 too, its URL tells it
    ("notify-fee.json", "/verify", NOTIFY_SESSION, a_notify("verify")),
    ("notify-fee.json", "/fee/Verify/?x=1", NOTIFY_SESSION, a_notify("verify")),
]


@pytest.mark.parametrize(("sample", "path", "session", "body"), GOLDEN)
def test_a_published_cdr_is_read_as_its_page_says(sample: str, path: str, session: str, body: Cdr) -> None:
    sent = (SAMPLES / sample).read_bytes()
    raw = json.loads(sent)["feeLst"][0]
    expected = Parsed(
        kind="cdr",
        session_id=session,
        key=f"cdr|{session}|{body.record_id}",  # docs/design.md section 5: without any timestamp or source
        fingerprint=hashlib.sha256(json.dumps(raw, sort_keys=True, separators=(",", ":")).encode()).hexdigest(),
        body=Cdr(
            record_id=body.record_id,
            call=body.call,
            legs=body.legs,
            recordings=body.recordings,
            implies=body.implies,
            raw=raw,
        ),
    )
    assert DIALECT.parse(a_push(sent, path), SOURCE) == [expected]


def test_every_cdr_sample_has_its_expectation() -> None:
    assert {row[0] for row in GOLDEN} == {path.name for path in SAMPLES.glob("*-fee*.json")}


def test_dates_with_two_spaces_are_the_same_dates() -> None:
    """Section 0, row times: old demo data has two spaces between date and time."""
    sent = (SAMPLES / "callback-fee.json").read_text()
    old = sent.replace("2019-01-24 ", "2019-01-24  ")
    assert old != sent
    body = the_body(a_push(old.encode()))
    assert (body.call, body.legs, body.implies) == (CALLBACK.call, CALLBACK.legs, CALLBACK.implies)
