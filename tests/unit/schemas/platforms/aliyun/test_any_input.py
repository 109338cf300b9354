"""Any values in the fields that stand on the page become facts or a reason, and any answer is taken as one."""

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
from schemas.platforms.aliyun.settings import AliyunSource
from schemas.question import Decision
from tests.building import damage
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


def everything_survives(body: bytes, path: str) -> None:
    push = a_push(body, path)
    for action in ("connect", "close", "route", "discard"):
        decision = Decision.model_validate({"action": action, "callee": "+8613900000003"})
        assert orjson.loads(answer(push, decision, SOURCE).body)["code"] == "OK"
    try:
        results = DIALECT.parse(push, SOURCE)
    except Malformed:
        return
    for item in results:
        if isinstance(item, Parsed):
            fact = fact_of(item, SOURCE, at=NOW)
            assert through_the_broker(fact) == fact


@given(row=st.dictionaries(st.sampled_from(FIELDS), LEAVES), named=st.sampled_from(NAMED))
def test_any_receipt_of_a_named_type_becomes_a_fact_or_a_reason(row: dict[str, Any], named: str) -> None:
    everything_survives(json.dumps([row]).encode(), f"/{named}")


PARAMS = st.dictionaries(
    st.sampled_from(["callId", "callNo", "secretNo", "recordType", "callTime", "extension", "signature", "timestamp"]),
    st.sampled_from(["", "CAL", "SMS", "x", "20240305140708", "2024-03-05T06:07:08Z"])
    | st.text(st.characters(codec="utf-8"), max_size=12),
)


@given(params=PARAMS, where=st.booleans())
def test_any_question_becomes_a_fact_or_a_reason(params: dict[str, str], where: bool) -> None:
    form = "&".join(f"{name}={value}" for name, value in params.items())
    everything_survives(form.encode() if where else b"", "" if where else f"/x?{form}")
