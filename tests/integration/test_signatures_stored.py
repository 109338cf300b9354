"""A signature ends at the door: what is stored holds its verdict, for whoever reads one could push with it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from runtime.broker.base import Broker
from schemas.envelope import Envelope
from schemas.notification import from_json
from schemas.platforms import DIALECTS
from schemas.platforms.aliyun.settings import AliyunSource
from schemas.platforms.huawei.tokens import signed_headers
from schemas.topology import RECEIVED
from tests.building.loops import read
from tests.contracts.brokers import EmbeddedRig
from tests.integration.asking import CONNECT, CONNECTED, HUAWEI, a_callin, a_config, asking, deciding
from tests.integration.test_questions_aliyun import ALIYUN, QUESTION, SIGNED_AT

SECRET: Final = "a-secret-of-an-app"
FEE: Final = json.dumps({"eventType": "fee", "feeLst": [{"sessionId": "1"}]}).encode()


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    async with EmbeddedRig(tmp_path / "b.db").open() as opened:
        yield opened


def a_signature(scheme: str = "aksk") -> dict[str, str]:
    made = signed_headers(scheme, username="key", secret=SECRET, nonce="n0nce", created=datetime.now(UTC))
    return {name.replace("-", "_"): value for name, value in made.items()}


async def stored(broker: Broker) -> dict[str, Any]:
    (envelope,) = await read(broker, RECEIVED, expected=1)
    assert isinstance(envelope, Envelope)
    assert isinstance(envelope.body, dict)
    return envelope.body


@pytest.mark.parametrize("scheme", ["aksk", "wsse"])
async def test_a_right_signature_of_huawei_is_a_verdict(broker: Broker, scheme: str) -> None:
    async with asking(broker, a_config({**HUAWEI, "app_secret": SECRET})) as platform:
        assert (await platform.push(FEE, path="/fee", **a_signature(scheme))).status == 200
        row = await stored(broker)
    assert (row["headers"], row["signed"], row["text"]) == ({}, "right", FEE.decode())


async def test_a_push_without_a_signature_is_stored_as_ever(broker: Broker) -> None:
    async with asking(broker, a_config({**HUAWEI, "app_secret": SECRET})) as platform:
        assert (await platform.push(FEE, path="/fee")).status == 200
        assert "signed" not in await stored(broker)


async def test_a_signature_that_nothing_can_judge_is_not_kept_either(broker: Broker) -> None:
    async with asking(broker, a_config(HUAWEI)) as platform:
        assert (await platform.push(FEE, path="/fee", **a_signature(), content_encoding="gzip")).status == 200
        row = await stored(broker)
    assert (row["headers"], row["signed"]) == ({"content-encoding": "gzip"}, "none")


@pytest.mark.parametrize("in_query", [False, True])
async def test_the_signature_of_aliyun_is_gone_and_the_question_is_read_as_before(
    broker: Broker, *, in_query: bool
) -> None:
    body, path = (b"", f"/control?{QUESTION.decode()}") if in_query else (QUESTION, "")
    async with asking(broker, a_config(ALIYUN), clock=SIGNED_AT, deadline_seconds=0.4) as platform:
        assert (await platform.push(body, source="aliyun", path=path)).status == 200
        row = await stored(broker)
    assert row["signed"] == "right"
    assert QUESTION.partition(b"&signature=")[2].partition(b"&")[0].decode() not in json.dumps(row)
    kept, source = from_json(row), AliyunSource.model_validate(ALIYUN)
    (fact,) = DIALECTS["aliyun_pnp"].parse(kept, source)
    (before,) = DIALECTS["aliyun_pnp"].parse(from_json({**row, "path": path, "text": body.decode()}), source)
    assert fact == before


def test_a_push_that_an_older_version_stored_is_read() -> None:
    row = {"path": "/fee", "remote": "192.0.2.1", "content_type": "", "headers": {"x-aksk": "s"}, "text": "{}"}
    assert from_json(row).signed is None


@pytest.mark.parametrize(
    ("settings", "status"),
    [({}, 401), ({"verify": "always"}, 401), ({"verify": "when_present"}, 200), ({"verify": "never"}, 200)],
)
async def test_a_question_without_a_signature_is_refused_where_there_is_a_secret(
    broker: Broker, settings: dict[str, str], status: int
) -> None:
    config = a_config({**HUAWEI, "app_secret": SECRET, **settings}, rules=[CONNECT])
    async with asking(broker, config) as platform, deciding(platform.process):
        assert (await platform.push(a_callin())).status == status
        if status != 200:
            assert (await platform.push(a_callin(), **a_signature())).json == CONNECTED
            assert (await platform.push(FEE, path="/fee")).status == (401 if settings else 200)
