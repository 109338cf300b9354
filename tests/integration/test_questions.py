"""Questions at the real door over real HTTP, on both brokers, answered by the real `decide` loop."""

from __future__ import annotations

import asyncio
import json
import statistics
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from ingest.questions import DEADLINE_SECONDS
from runtime.broker.base import Broker
from runtime.wire import unpack
from schemas.envelope import Envelope, Kind
from schemas.notification import from_json
from schemas.topology import DECISIONS, RECEIVED, UNIQUE
from tests.building.facts import T0
from tests.building.loops import WAIT_SECONDS, is_empty, read, until
from tests.building.samples import SAMPLES_OF_ALL
from tests.contracts.brokers import EmbeddedRig, RabbitMQRig, Rig, only
from tests.integration.asking import (
    CLOSED,
    CONNECT,
    CONNECTED,
    HUAWEI,
    SESSION,
    B,
    a_callin,
    a_config,
    an_sms,
    asking,
    deciding,
    holds,
)
from workers.config import config_topology

SAMPLES: Final = SAMPLES_OF_ALL / "huawei_privatenumber"
ROUTED: Final = json.loads((SAMPLES / "x-sms-block-response-route.json").read_bytes())
TONES: Final = {
    "waitVoice": "waitVoice001.wav",
    "recordHintTone": "recordHintTone001.wav",
    "lastMinVoice": "lastMinVoice001.wav",
}
AS_PUBLISHED: Final[Mapping[str, Any]] = {
    **CONNECT, "record": True, "max_minutes": 60, "tones": TONES, "user_data": "userflag001",
}  # fmt: skip


@pytest.fixture(params=["embedded", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Rig:
    if request.param == "embedded":
        return EmbeddedRig(tmp_path / "broker.db")
    return RabbitMQRig(request.getfixturevalue("fresh_amqp_url"))


@pytest.fixture
async def broker(rig: Rig) -> AsyncIterator[Broker]:
    async with rig.open() as opened:
        yield opened


@pytest.mark.parametrize("shape", ["object", "array"])
async def test_a_block_push_is_answered_by_rule_in_the_published_shape(broker: Broker, shape: str) -> None:
    """docs/protocols/huawei-privatenumber.md section 2: connectInfo is an object in the table, an array in the demo."""
    name = f"x-event-callin-block-response-connect{'-array' if shape == 'array' else ''}.json"
    config = a_config({**HUAWEI, "answer_shape": shape}, rules=[AS_PUBLISHED])
    async with asking(broker, config) as platform, deciding(platform.process):
        heard = await platform.push(a_callin())
        ((fact, decided),) = await platform.decisions(1)
    assert (heard.status, heard.content_type) == (200, "application/json")
    assert heard.json == json.loads((SAMPLES / name).read_bytes())
    assert (fact.source, fact.platform, fact.session_id) == ("huawei-x", "huawei_privatenumber", SESSION)
    assert (decided.asked, decided.action, decided.callee, decided.by) == ("call", "connect", B, "rule")
    assert platform.counted("decisions", source="huawei-x", by="rule") == 1


async def test_the_push_that_asked_is_stored_byte_for_byte_like_any_other(broker: Broker) -> None:
    async with asking(broker, a_config(HUAWEI, rules=[CONNECT])) as platform, deciding(platform.process):
        await platform.push(a_callin())
        (envelope,) = await read(broker, RECEIVED, expected=1)
        ((fact, _),) = await platform.decisions(1)
    assert isinstance(envelope.body, dict)
    assert from_json(envelope.body).body == a_callin()
    assert (fact.at, fact.source) == (envelope.at, envelope.source)
    assert platform.counted("unpromised", source="huawei-x") == 0


async def test_a_hundred_questions_are_all_answered_by_rule(
    broker: Broker, record_property: Callable[[str, object], None]
) -> None:
    async with asking(broker, a_config(HUAWEI, rules=[CONNECT])) as platform, deciding(platform.process):
        heard = [await platform.push(a_callin(f"call-{n}")) for n in range(100)]
        decided = [body for _, body in await platform.decisions(100)]
    assert [one.json for one in heard] == [CONNECTED] * 100
    assert {body.by for body in decided} == {"rule"}
    median = statistics.median(body.milliseconds for body in decided)
    record_property("median_milliseconds", median)
    print(f"median of 100 decisions: {median} ms")  # noqa: T201 - the figure that this machine has


async def test_an_sms_is_routed_and_a_call_that_no_rule_fits_gets_the_default_at_once(broker: Broker) -> None:
    route = {"source": "huawei-x", "caller": "13800000021", "action": "route", "callee": "13866887021"}
    config = a_config(
        {**HUAWEI, "default": {"action": "close", "tones": {"closeHintTone": "sorry.wav"}}}, rules=[route]
    )
    async with asking(broker, config) as platform, deciding(platform.process):
        assert (await platform.push(an_sms("Block"))).json == ROUTED
        assert (await platform.push(a_callin())).json == {
            "operation": "close",
            "closeInfo": {"closeHintTone": "sorry.wav"},
        }
        found = [(body.asked, body.action, body.callee, body.by) for _, body in await platform.decisions(2)]
    assert found == [("sms", "route", B, "rule"), ("call", "close", None, "default")]


async def test_a_push_that_asks_again_is_decided_again(broker: Broker) -> None:
    """docs/protocols/huawei-privatenumber.md section 0: an unanswered callin comes again; the later answer is heard."""
    async with asking(broker, a_config(HUAWEI, rules=[CONNECT])) as platform, deciding(platform.process):
        for _ in range(2):
            assert (await platform.push(a_callin())).json == CONNECTED
        first, second = [fact for fact, _ in await platform.decisions(2)]
    assert first.key == second.key
    assert first.fingerprint != second.fingerprint
    assert first.id != second.id


async def test_a_cdr_that_says_block_and_a_callin_that_notifies_ask_nothing(broker: Broker) -> None:
    """x-fee.json says notifyMode Block; docs/protocols/huawei-privatenumber.md section 0: Notify gets an empty body."""
    async with asking(broker, a_config(HUAWEI, rules=[CONNECT])) as platform, deciding(platform.process):
        for body in ((SAMPLES / "x-fee.json").read_bytes(), a_callin(notifyMode="Notify"), an_sms("Notify")):
            heard = await platform.push(body)
            assert (heard.status, heard.body) == (200, b"")
        assert len(await read(broker, RECEIVED, expected=3)) == 3
        assert await is_empty(broker, UNIQUE)


async def test_a_source_without_control_is_never_asked_about(broker: Broker) -> None:
    async with asking(broker, a_config({**HUAWEI, "control": False})) as platform, deciding(platform.process):
        heard = await platform.push(a_callin())
    assert (heard.status, heard.body) == (200, b"")


async def test_ten_unanswered_questions_do_not_slow_ordinary_pushes(broker: Broker) -> None:
    """The pushes are answered while the ten still wait, which they would for a minute."""
    fee = (SAMPLES / "x-fee.json").read_bytes()
    async with asking(broker, a_config(HUAWEI), deadline_seconds=60) as platform, asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(platform.push(a_callin(f"call-{n}"))) for n in range(10)]
        await until(lambda: holds(broker, DECISIONS, 10))
        answered = [await platform.push(fee) for _ in range(20)]
        assert [heard.status for heard in answered] == [200] * 20
        assert not any(task.done() for task in waiting)
        for task in waiting:
            task.cancel()


async def test_when_nobody_answers_the_sources_default_is_told_at_the_deadline(broker: Broker) -> None:
    default = {"action": "connect", "callee": B, "user_data": "by-default"}
    async with asking(broker, a_config({**HUAWEI, "default": default}), deadline_seconds=DEADLINE_SECONDS) as platform:
        heard = await platform.push(a_callin())
        ((_, decided),) = await platform.decisions(1)
        assert (await platform.push(an_sms("Block"))).json == {"actions": [{"operation": "DiscardMessage"}]}
    assert heard.json["connectInfo"] == {**CONNECTED["connectInfo"], "userData": "by-default"}  # type: ignore[dict-item]
    assert (decided.action, decided.callee, decided.by) == ("connect", B, "default")
    assert decided.milliseconds >= DEADLINE_SECONDS * 1000
    print(f"answered by default after {decided.milliseconds} ms")  # noqa: T201 - the figure that this machine has
    assert platform.counted("decisions", source="huawei-x", by="default") == 2


async def test_without_a_default_a_call_is_closed_and_nothing_stays_in_the_queue(broker: Broker) -> None:
    async with asking(broker, a_config(HUAWEI), deadline_seconds=DEADLINE_SECONDS) as platform:
        assert (await platform.push(a_callin())).json == CLOSED
        async with deciding(platform.process):  # what has expired is answered to nobody
            assert (await platform.push(a_callin())).json == CLOSED
        assert len(await platform.decisions(2)) == 2
        assert await is_empty(broker, DECISIONS)


async def test_while_the_broker_is_away_the_default_is_told_in_time_and_counted_as_unpromised(rig: Rig) -> None:
    """docs/contract.md section 3: that 200 promises no storage. What can be kept is stored once the broker is back."""
    config = a_config({**HUAWEI, "default": {"action": "connect", "callee": B}}, rules=[CONNECT])
    async with (
        rig.open_stallable() as stallable,
        asking(stallable.broker, config, deadline_seconds=DEADLINE_SECONDS) as platform,
    ):
        async with stallable.stall():
            heard = await platform.push(a_callin())
            assert (heard.status, heard.json) == (200, CONNECTED)
            assert platform.counted("unpromised", source="huawei-x") == 1
            assert platform.counted("decisions", source="huawei-x", by="default") == 1
        await until(lambda: holds(stallable.broker, UNIQUE, 1))
        await until(lambda: holds(stallable.broker, RECEIVED, 1))


async def test_a_push_that_the_broker_refuses_is_counted_as_unpromised_and_stored_later(broker: Broker) -> None:
    """Nobody repeats it: the platform has heard 200."""
    config = a_config(HUAWEI, rules=[CONNECT])
    async with (
        asking(broker, config, topology=only(DECISIONS), deadline_seconds=2) as platform,
        deciding(platform.process),
    ):
        assert (await platform.push(a_callin())).json == CONNECTED
        assert platform.counted("unpromised", source="huawei-x") == 1
        await broker.declare(config_topology(config))
        ((fact, _),) = await platform.decisions(1)
        pushes = await kept_pushes(broker)
    assert [envelope.at for envelope in pushes] == [fact.at]


async def kept_pushes(broker: Broker) -> list[Envelope]:
    """The pushes in `received`, once there is one; the door also tries with a tally whether it can store again."""
    found: list[Envelope] = []
    async with asyncio.timeout(WAIT_SECONDS), broker.consume(RECEIVED, prefetch=100) as consumer:
        while not any(envelope.kind == Kind.NOTIFICATION for envelope in found):
            deliveries = await consumer.batch(100)
            found += [envelope for one in deliveries for envelope in unpack(one, T0, queue=RECEIVED)]
            await consumer.ack(deliveries)
    return [envelope for envelope in found if envelope.kind == Kind.NOTIFICATION]
