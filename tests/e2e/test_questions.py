"""Questions end to end: what was decided is heard by the platform and read by the team downstream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from tests.e2e.programs import Program, Role, end, request
from tests.e2e.running import Answer, Up, callstitch, prepared_up, running_up, sample
from tests.services import ports

A, B, X = "+8613800000021", "+8613866887021", "+8613800000022"  # of the published samples
SESSION: Final = "1200_1827_4294967295_20190124023003@callenabler246.huaweicaas.com"
SMS: Final = "ASN:16:example0000000001"
TRIES: Final = 20  # a busy machine may miss the deadline of 400 ms now and then
RULES: Final = f"""
[[rule]]
source = "huawei"
number = "{X}"
action = "connect"
callee = "{B}"

[[rule]]
source = "huawei"
action = "route"
callee = "{B}"
"""
DEFAULT: Final = '[source.default]\naction = "close"\ntones = { closeHintTone = "sorry.wav" }\n'
CLOSED: Final = {"operation": "close", "closeInfo": {"closeHintTone": "sorry.wav"}}
THE_REST: Final = [f"x-event-{kind}.json" for kind in ("callout", "alerting", "answer", "disconnect")]
DECLARE_SECONDS: Final = 60.0
SETTLED_SECONDS: Final = 3.0  # changes gather for 2 s


def a_callin(session: str = SESSION) -> bytes:
    """docs/protocols/huawei-privatenumber.md section 1: X mode has notifyMode, no subscriptionId; no sample."""
    info = {"timestamp": "2019-01-24 02:30:03", "sessionId": session, "caller": A, "called": X, "notifyMode": "Block"}
    return json.dumps({"eventType": "callin", "statusInfo": info}).encode()


def named(identifier: str, name: str) -> bytes:
    """A sample as of another SMS."""
    return sample(name).replace(SMS.encode(), identifier.encode())


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with running_up(
        tmp_path_factory.mktemp("questions"), extra=RULES, control=True, mode="X", answer_shape="array"
    ) as running:
        yield running


def about(up: Up, subject: str, kind: str) -> list[dict[str, Any]]:
    """Events of that type about one call or SMS, repeated deliveries folded."""
    wanted = (f"huawei:{subject}", f"callstitch.{kind}.v1")
    found = {event["id"]: event for event in up.events() if (event["subject"], event["type"]) == wanted}
    return list(found.values())


def by(decided: dict[str, Any]) -> str:
    return str(decided["data"]["decision"]["by"])


def asked_until_heard(up: Up, body: bytes, wanted: dict[str, Any]) -> Answer:
    """The answer with `wanted` in it; asked again where a busy machine missed the deadline of 400 ms."""

    def heard() -> Answer | None:
        answer = up.answer(body)
        return answer if json.loads(answer.body).items() >= wanted.items() else None

    found = up.wait_for(heard)
    assert found is not None
    return found


def an_sms_that_was_routed(up: Up) -> str:
    """Its identifier: asked about once, and the platform heard what the rule says.

    docs/protocols/huawei-privatenumber.md section 4: X mode asks first; the sample is of AX.
    """
    routed = {"actions": [{"operation": "vNumberRoute", "message": {"called": B, "calling": A}}]}
    names = (f"ASN:16:example{n:010}" for n in range(1, TRIES))
    heard = (name for name in names if json.loads(up.answer(named(name, "ax-sms-block.json")).body) == routed)
    return next(heard)


def test_the_decision_is_in_the_answer_the_record_the_timeline_and_an_event_of_its_own(up: Up) -> None:
    connected = {"operation": "connect", "connectInfo": [{"displayCalleeNum": X, "calleeNum": B}]}
    heard = asked_until_heard(up, a_callin(), connected)
    assert (heard.status, heard.headers["content-type"]) == (200, "application/json")
    decided = up.wait_for(lambda: [e for e in about(up, SESSION, "call.decided") if by(e) == "rule"])[-1]
    for name in [*THE_REST, "x-fee.json"]:
        assert up.answer(name).body == b""
    (completed,) = up.wait_for(lambda: about(up, SESSION, "call.completed"))

    call, decision = completed["data"]["call"], decided["data"]["decision"]
    assert decision.items() >= {"action": "connect", "callee": B, "by": "rule"}.items()
    assert call["decision"] == decision
    assert (call["mode"], call["caller"], call["callee"], call["private_number"]) == ("X", A, B, X)
    assert (call["outcome"], call["talk_seconds"], call["complete"]) == ("answered", 16, True)
    assert sorted(row["type"] for row in call["timeline"]) == [
        "answered", "decided", "ended", "incoming", "outgoing", "ringing",
    ]  # fmt: skip
    (entry,) = [row for row in call["timeline"] if row["type"] == "decided"]
    assert (entry["platform_type"], entry["callee"], entry["at"]) == ("connect", B, decided["time"])


def test_an_sms_asked_about_and_then_told_about_is_one_event_with_its_decision(up: Up) -> None:
    identifier = an_sms_that_was_routed(up)
    assert up.answer(named(identifier, "x-sms-notify.json"), "/sms-notify").body == b""
    (notified,) = up.wait_for(lambda: about(up, identifier, "sms.notified"))
    sms = notified["data"]["sms"]
    assert sms["decision"].items() >= {"action": "route", "callee": B, "by": "rule"}.items()
    assert (sms["sender"], sms["private_number"], set(sms["raw"])) == (A, X, {"block", "notify"})

    with pytest.raises(AssertionError, match="in vain"):
        up.wait_for(lambda: len(about(up, identifier, "sms.notified")) > 1, SETTLED_SECONDS)
    assert about(up, identifier, "call.decided") == []
    told = callstitch(up, "trace", identifier)
    for part in ("received: sms", "mode=block", "mode=notify", "action=route  by=rule"):
        assert part in told
    assert "published: callstitch.sms.notified.v1" in told
    assert A not in told


def test_the_metrics_tell_who_decided_and_no_log_holds_a_number(up: Up) -> None:
    asked_until_heard(up, a_callin("counted"), {"operation": "connect"})
    metrics = request(up.admin, "GET", "/metrics").body.decode()
    assert 'callstitch_decisions_total{by="rule",source="huawei"}' in metrics
    assert 'callstitch_handled_total{stage="decide"}' in metrics
    assert "13866887021" not in up.log_file.read_text()
    assert "13866887021" not in metrics


def test_up_runs_decide_only_where_the_config_has_rules(up: Up, tmp_path: Path) -> None:
    assert b'"decide":true' in request(up.admin, "GET", "/readyz").body
    with running_up(tmp_path, extra=DEFAULT, control=True) as without_rules:
        assert b"decide" not in request(without_rules.admin, "GET", "/readyz").body
        assert json.loads(without_rules.answer(a_callin()).body) == CLOSED
        (decided,) = without_rules.wait_for(lambda: about(without_rules, SESSION, "call.decided"))
        assert by(decided) == "default"
        assert without_rules.terminate() == 0


@pytest.mark.rabbitmq
def test_decide_as_a_role_answers_and_without_it_the_default_does(tmp_path: Path, fresh_amqp_url: str) -> None:
    with running_roles(tmp_path, fresh_amqp_url) as (door, decide):
        asked_until_heard(door, a_callin("one"), {"operation": "connect"})
        decide.kill()
        assert json.loads(door.answer(a_callin("two")).body) == CLOSED
        decide.start()
        asked_until_heard(door, a_callin("three"), {"operation": "connect"})
        assert (decide.terminate(), door.terminate()) == (0, 0)


@contextmanager
def running_roles(directory: Path, broker: str) -> Iterator[tuple[Up, Role]]:
    """The door and `work decide` as two processes, on a topology that `callstitch declare` made."""
    door = prepared_up(directory, command=("ingest",), extra=DEFAULT + RULES, broker=broker, control=True)
    config = ("--config", "config.toml")
    declare = Program(arguments=("declare", *config), directory=directory, environ=door.environ, name="declare")
    admin = f"127.0.0.1:{ports.free_port()}"
    decide = Role(
        arguments=("work", "decide", *config),
        directory=directory,
        environ={**door.environ, "CALLSTITCH_INGEST_ADMIN": admin},
        name="decide",
        admin=admin,
    )
    declare.start()
    assert declare.wait(DECLARE_SECONDS) == 0, declare.tail()
    try:
        door.start()
        decide.start()
        yield door, decide
    finally:
        end(door, decide)
