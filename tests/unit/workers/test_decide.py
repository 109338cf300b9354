"""What `decide` answers: the first rule that fits, else the source's default, always at once."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from schemas.question import Answer, Decision, Question
from workers.config import Config
from workers.decide import decide

A, B, C, X = "+8613800000021", "+8613866887021", "+8613800000033", "+8617010000002"
PLATFORM = "huawei_privatenumber"
SOURCE = {"name": "huawei-x", "platform": PLATFORM, "tokens": ["t"], "control": True}


def a_question(**told: Any) -> dict[str, Any]:
    row = {
        "id": "q1", "source": "huawei-x", "platform": PLATFORM, "kind": "call", "call_id": "huawei-x:s1", "caller": A,
        "number": X, "extension": None, "text": None, "asked_at": "2026-11-21T08:00:00Z", "deadline_ms": 400,
    }  # fmt: skip
    return Question.model_validate({**row, **told}).model_dump()


def connect(callee: str = B, **given: Any) -> dict[str, Any]:
    return {"source": "huawei-x", "action": "connect", "callee": callee, **given}


def defaults_of(config: Config) -> dict[str, Decision | None]:
    return {name: source.default for name, source in config.asking.items()}


def answered(question: Any, *rules: dict[str, Any], **source: Any) -> Any:
    config = Config.model_validate({"source": [{**SOURCE, **source}], "rule": rules})
    sent = question if isinstance(question, bytes) else orjson.dumps(question)
    answer = decide(config.rule, defaults_of(config))(sent)
    return None if answer is None else orjson.loads(answer)


def test_the_first_rule_that_fits_answers() -> None:
    rules = [connect(C, number="+8617010000009"), connect(B, number=X), connect(C)]
    assert answered(a_question(), *rules) == {"action": "connect", "callee": B, "by": "rule"}


def test_everything_that_a_rule_gives_is_told() -> None:
    given: dict[str, Any] = {"record": True, "tones": {"waitVoice": "w.wav"}, "max_minutes": 60, "user_data": "u"}
    assert answered(a_question(), connect(**given)) == {"action": "connect", "callee": B, **given, "by": "rule"}


@pytest.mark.parametrize(
    ("condition", "fits"),
    [
        ({}, True),
        ({"number": X}, True),
        ({"number": "17010000002"}, True),
        ({"number": "+8617010000009"}, False),
        ({"caller": A}, True),
        ({"caller": "13800000021"}, True),
        ({"caller": B}, False),
        ({"extension": "0012"}, True),
        ({"extension": "12"}, False),
        ({"number": X, "caller": A, "extension": "0012"}, True),
        ({"number": X, "caller": B}, False),
    ],
)
def test_a_rule_fits_when_all_it_gives_is_that_of_the_question(condition: dict[str, str], fits: bool) -> None:
    """Numbers of a rule may be in national form, extensions are compared as they stand."""
    answer = answered(a_question(extension="0012"), connect(**condition))
    assert answer["by"] == ("rule" if fits else "default")


def test_a_rule_of_another_source_does_not_fit() -> None:
    config = Config.model_validate({"source": [SOURCE, {**SOURCE, "name": "other"}], "rule": [connect()]})
    answer = decide(config.rule, defaults_of(config))(orjson.dumps(a_question(source="other")))
    assert answer == b'{"action":"close","by":"default"}'


def test_a_condition_on_what_the_question_does_not_tell_does_not_fit() -> None:
    assert answered(a_question(caller=None), connect(caller=A))["by"] == "default"


@pytest.mark.parametrize(
    ("kind", "found"), [("call", {"action": "connect", "callee": B}), ("sms", {"action": "route", "callee": C})]
)
def test_a_rule_is_for_one_kind_of_question(kind: str, found: dict[str, str]) -> None:
    route = {"source": "huawei-x", "action": "route", "callee": C}
    assert answered(a_question(kind=kind), route, connect()) == {**found, "by": "rule"}


@pytest.mark.parametrize(("kind", "action"), [("call", "close"), ("sms", "discard")])
def test_without_a_rule_and_a_default_a_call_is_closed_and_an_sms_discarded(kind: str, action: str) -> None:
    """docs/contract.md section 3."""
    assert answered(a_question(kind=kind)) == {"action": action, "by": "default"}


def test_where_no_rule_fits_the_default_answers_at_once() -> None:
    default = {"action": "connect", "callee": C, "user_data": "u"}
    assert answered(a_question(), connect(caller=B), default=default) == {**default, "by": "default"}
    assert answered(a_question(kind="sms"), default=default) == {"action": "discard", "by": "default"}


def test_a_source_that_is_not_in_the_config_gets_the_refusal() -> None:
    assert answered(a_question(source="stranger"), connect()) == {"action": "close", "by": "default"}


@pytest.mark.parametrize(
    "sent", [b"", b"?", b"[]", b"{}", orjson.dumps(a_question() | {"kind": "fax"}), b'{"caller": "13800000021"}']
)
def test_what_cannot_be_read_is_not_answered_and_no_value_is_logged(sent: bytes) -> None:
    with capture_logs() as logs:
        assert answered(sent, connect()) is None
    (line,) = logs
    assert line["event"] == "question.unreadable"
    assert "13800000021" not in str(line)


def test_every_answer_is_one_that_the_door_reads() -> None:
    for question in (a_question(), a_question(kind="sms"), a_question(caller=B)):
        answer = Answer.model_validate(answered(question, connect(caller=A)))
        assert answer.by is not None
