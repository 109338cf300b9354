"""Aliyun's X mode at the real door: signed questions, wrong ones, replayed ones.

Sections are those of docs/protocols/aliyun-pnp.md.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

import pytest

from runtime.broker.base import Broker
from schemas.platforms.aliyun.signature import rfc3986, x_mode_signature
from schemas.topology import RECEIVED, UNIQUE
from tests.building.loops import is_empty, read
from tests.building.samples import SAMPLES_OF_ALL
from tests.contracts.brokers import EmbeddedRig, RabbitMQRig
from tests.integration.asking import TOKEN, a_config, asking, at, deciding

SAMPLES: Final = SAMPLES_OF_ALL / "aliyun_pnp"
QUESTION: Final = (SAMPLES / "xmode_call_control_request.form").read_bytes().strip()
REJECTED: Final = json.loads((SAMPLES / "xmode_call_control_response_no_binding.json").read_bytes())
RECEIVED_OK: Final = {"code": 0, "msg": "ok"}
SIGNED_AT: Final = at("2024-03-05T06:07:08+00:00")  # the question's own timestamp
# Section 2, worked example: what stands on the wire for each variant of the key.
ON_THE_WIRE: Final = {
    "A": "R0Wus0MREqMZdApPiOqJqzor3T4%3D",
    "B": "%2BSssMEU8ZPOK6rtjxA8oAzUYVaY%3D",
    "C": "jalg0KPtiRDU6tP5GqD1BIZ%2BbuM%3D",
}
ALIYUN: Final[Mapping[str, Any]] = {
    "name": "aliyun", "platform": "aliyun_pnp", "tokens": [TOKEN], "control": True,
    "app_secret": "demo-secret-not-real",
}  # fmt: skip
RULE: Final[Mapping[str, Any]] = {
    "source": "aliyun", "number": "17000000002", "action": "connect", "callee": "+8613900000003", "record": True,
}  # fmt: skip
CONTINUED: Final = {"controlOperate": "CONTINUE", "controlMsg": "OK", "subsId": "0", "calledNo": "13900000003"}


@pytest.fixture(params=["embedded", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
async def broker(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Broker]:
    embedded = request.param == "embedded"
    rig = EmbeddedRig(tmp_path / "b.db") if embedded else RabbitMQRig(request.getfixturevalue("fresh_amqp_url"))
    async with rig.open() as opened:
        yield opened


def signed(variant: str) -> bytes:
    return QUESTION.replace(ON_THE_WIRE["A"].encode(), ON_THE_WIRE[variant].encode())


@pytest.mark.parametrize("variant", ON_THE_WIRE)
async def test_a_right_signature_passes_in_each_variant_and_the_question_is_answered(
    broker: Broker, variant: str
) -> None:
    config = a_config({**ALIYUN, "key_variant": variant}, rules=[RULE])
    async with asking(broker, config, clock=SIGNED_AT) as platform, deciding(platform.process):
        heard = await platform.push(signed(variant), source="aliyun", path="")
        ((fact, decided),) = await platform.decisions(1)
    assert (heard.status, heard.content_type) == (200, "application/json")
    assert (heard.json["code"], heard.json["message"]) == ("OK", "success")
    assert heard.json["model"].items() >= CONTINUED.items()
    assert (fact.session_id, decided.action, decided.callee, decided.by) == (
        "8f3c2b1a9d7e4c60", "connect", "+8613900000003", "rule",
    )  # fmt: skip


async def test_questions_may_have_a_secret_of_their_own(broker: Broker) -> None:
    """`app_secret` signs our calls for recordings; what signs the questions may be another one."""
    config = a_config({**ALIYUN, "app_secret": "another", "control_secret": ALIYUN["app_secret"]}, rules=[RULE])
    async with asking(broker, config, clock=SIGNED_AT) as platform, deciding(platform.process):
        assert (await platform.push(QUESTION, source="aliyun")).json["model"].items() >= CONTINUED.items()


async def test_a_question_in_the_query_string_is_one_too(broker: Broker) -> None:
    """Section 2: whether query or form was not found; a slash in a signature need not be encoded there."""
    async with asking(broker, a_config(ALIYUN, rules=[RULE]), clock=SIGNED_AT) as platform, deciding(platform.process):
        heard = await platform.push(b"", source="aliyun", path=f"?note=a/b&{QUESTION.decode()}")
        assert heard.status == 401, "note is not signed"
        heard = await platform.push(b"", source="aliyun", path=f"/control?{QUESTION.decode()}")
    assert heard.json["model"].items() >= CONTINUED.items()


async def test_a_wrong_signature_is_refused_and_counted_and_nothing_is_stored(broker: Broker) -> None:
    forged = [
        signed("B"),
        QUESTION.replace(b"callNo=13800000001", b"callNo=13800000009"),
        QUESTION.partition(b"&signature=")[0],
    ]
    async with asking(broker, a_config(ALIYUN, rules=[RULE]), clock=SIGNED_AT) as platform, deciding(platform.process):
        assert [(await platform.push(body, source="aliyun")).status for body in forged] == [401] * 3
        assert platform.counted("requests", source="aliyun", status="401") == 3
        assert await is_empty(broker, RECEIVED)
        heard = await platform.push(QUESTION, source="aliyun")
    assert heard.status == 200, "a forged question does not use up the nonce of the true one"


async def test_a_replayed_question_is_refused_and_counted(broker: Broker) -> None:
    async with asking(broker, a_config(ALIYUN, rules=[RULE]), clock=SIGNED_AT) as platform, deciding(platform.process):
        assert [(await platform.push(QUESTION, source="aliyun")).status for _ in range(3)] == [200, 401, 401]
        assert platform.counted("requests", source="aliyun", status="401") == 2
        assert len(await read(broker, RECEIVED, expected=1)) == 1


async def test_a_question_without_a_nonce_is_answered_once_however_its_signature_is_spelled(broker: Broker) -> None:
    params = {k: v for k, v in parse_qsl(QUESTION.decode()) if k not in ("signature", "signatureNonce")}
    signature = x_mode_signature(params, ALIYUN["app_secret"], "A", encode=rfc3986)
    once, twice = rfc3986(signature), rfc3986(rfc3986(signature))
    pushes = [f"{urlencode(params)}{empty}&signature={wire}" for wire in (once, twice) for empty in ("", "&extension=")]
    async with asking(broker, a_config(ALIYUN, rules=[RULE]), clock=SIGNED_AT) as platform, deciding(platform.process):
        heard = [(await platform.push(body.encode(), source="aliyun")).status for body in pushes]
    assert heard == [200, 401, 401, 401]


@pytest.mark.parametrize(("moment", "status"), [("06:22:08", 200), ("06:22:09", 401), ("05:52:07", 401)])
async def test_a_question_is_believed_for_a_quarter_of_an_hour(broker: Broker, moment: str, status: int) -> None:
    clock = at(f"2024-03-05T{moment}+00:00")
    async with asking(broker, a_config(ALIYUN, rules=[RULE]), clock=clock) as platform, deciding(platform.process):
        assert (await platform.push(QUESTION, source="aliyun")).status == status


async def test_when_nobody_answers_there_is_no_binding(broker: Broker) -> None:
    """Section 3: decide a default, REJECT with NO_SUBS_EXIST."""
    async with asking(broker, a_config(ALIYUN), clock=SIGNED_AT, deadline_seconds=0.4) as platform:
        assert (await platform.push(QUESTION, source="aliyun")).json == REJECTED
        ((_, decided),) = await platform.decisions(1)
    assert (decided.action, decided.by) == ("close", "default")


async def test_a_receipt_at_the_same_source_is_no_question_and_needs_no_signature(broker: Broker) -> None:
    receipt = (SAMPLES / "secret_report.json").read_bytes()
    async with asking(broker, a_config(ALIYUN), clock=SIGNED_AT) as platform, deciding(platform.process):
        assert (await platform.push(receipt, source="aliyun", path="/SecretReport")).json == RECEIVED_OK
        assert await is_empty(broker, UNIQUE)
