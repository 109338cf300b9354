"""Whatever arrives becomes facts or a reason, and no function of the dialect raises anything else."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import Malformed
from schemas.facts import Parsed
from schemas.platforms.aliyun import DIALECT
from schemas.platforms.aliyun.answers import answer
from schemas.platforms.aliyun.control import question
from schemas.platforms.aliyun.settings import AliyunSource
from schemas.platforms.aliyun.signature import verify
from schemas.question import Decision
from tests.building import damage
from tests.building.damage import any_json, damaged, names_or
from tests.building.pushes import a_push, fact_of, through_the_broker
from tests.building.samples import SAMPLES_OF_ALL

SAMPLES = SAMPLES_OF_ALL / "aliyun_pnp"
SOURCE = AliyunSource.model_validate(
    {"name": "aliyun", "platform": "aliyun_pnp", "tokens": ["token"], "app_secret": "secret"}
)
NOW = datetime(2024, 3, 5, 6, 7, 8, tzinfo=UTC)
BODIES = {
    path.name: json.loads(path.read_bytes())
    for path in sorted(SAMPLES.glob("*.json"))
    if not path.name.startswith(("xmode", "ack"))
}
FORM = (SAMPLES / "xmode_call_control_request.form").read_text()
NUMBER = "13800000001"
NAMED = [
    "SecretReport", "SecretStartReport", "SecretRingReport", "SecretPickUpReport", "SecretRecording",
    "SecretAsrReport", "SecretSmsIntercept", "NumberManagementReport", "SmartLogisticsReport",
    "SecretExceptionPhoneReport", "SecretNewReport",
]  # fmt: skip


LEAVES = damage.LEAVES | st.sampled_from(
    ["", "0", "1", "4", 0, 1, 2, 3, 5, 9999, "DELIVRD", "CAL", "2024-03-05 14:07:08", 1629893489000,
     "1629893489000", "0001-01-01 00:00:00", "9999-12-31 23:59:59", NUMBER]
)  # fmt: skip
FIELDS = sorted(
    {name for body in BODIES.values() for row in (body if isinstance(body, list) else [body]) for name in row}
    | {"sms_content", "sms_type", "send_no", "receive_no", "code", "status", "ring_Time", "sms_number", "operatingTime"}
)
ANY_JSON = any_json(LEAVES, names_or(FIELDS), fields=8)
PATHS = st.just("") | st.sampled_from([f"/{name}" for name in NAMED]) | st.text(
    st.characters(codec="utf-8"), max_size=8
)  # fmt: skip


def everything_survives(body: bytes, path: str) -> None:
    """No function of the dialect raises anything but Malformed, and only parse that; facts survive the broker."""
    push = a_push(body, path)
    assert verify(push, SOURCE, NOW) in (None, False, True)
    assert DIALECT.reply(push).status == 200
    asked = question(push, SOURCE)
    for action in ("connect", "close", "route", "discard"):
        decision = Decision.model_validate({"action": action, "callee": "+8613900000003"})
        assert orjson.loads(answer(push, decision, SOURCE).body)["code"] == "OK"
    try:
        results = DIALECT.parse(push, SOURCE)
    except Malformed:
        assert asked is None
        return
    assert results
    for item in results:
        if isinstance(item, Parsed):
            fact = fact_of(item, SOURCE, at=NOW)
            assert through_the_broker(fact) == fact
            assert asked is None or (asked.key, asked.fingerprint) == (item.key, item.fingerprint)


@given(body=ANY_JSON, path=PATHS)
def test_any_json_becomes_facts_or_a_reason(body: Any, path: str) -> None:
    everything_survives(json.dumps(body).encode(), path)


@given(body=damaged(BODIES, ANY_JSON), path=PATHS)
def test_any_damaged_sample_becomes_facts_or_a_reason(body: Any, path: str) -> None:
    everything_survives(json.dumps(body).encode(), path)


@given(row=st.dictionaries(st.sampled_from(FIELDS), LEAVES), named=st.sampled_from(NAMED))
def test_any_receipt_of_a_named_type_becomes_a_fact_or_a_reason(row: dict[str, Any], named: str) -> None:
    everything_survives(json.dumps([row]).encode(), f"/{named}")


@given(body=st.binary(max_size=64), path=PATHS)
def test_any_bytes_become_facts_or_a_reason(body: bytes, path: str) -> None:
    everything_survives(body, path)


PARAMS = st.dictionaries(
    st.sampled_from(["callId", "callNo", "secretNo", "recordType", "callTime", "extension", "signature", "timestamp"]),
    st.sampled_from(["", "CAL", "SMS", "x", "20240305140708", "2024-03-05T06:07:08Z"])
    | st.text(st.characters(codec="utf-8"), max_size=12),
)


@given(params=PARAMS, where=st.booleans())
def test_any_question_becomes_a_fact_or_a_reason(params: dict[str, str], where: bool) -> None:
    form = "&".join(f"{name}={value}" for name, value in params.items())
    everything_survives(form.encode() if where else b"", "" if where else f"/x?{form}")


@given(cut=st.integers(0, len(FORM)), junk=st.binary(max_size=4))
def test_a_damaged_question_becomes_a_fact_or_a_reason(cut: int, junk: bytes) -> None:
    everything_survives(FORM[:cut].encode() + junk + FORM[cut:].encode(), "")
