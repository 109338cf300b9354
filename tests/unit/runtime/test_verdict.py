"""The retry policy as a table."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runtime.broker.base import Broker
from runtime.broker.embedded import open_embedded
from runtime.clock import system_clock
from runtime.consume.loop import StageLoop
from runtime.telemetry import Telemetry
from runtime.verdict import (
    POLICIES,
    DeadLetter,
    Policy,
    Quarantine,
    Retry,
    StageRetry,
    Verdict,
    policies,
    reason_of,
    verdict,
)
from runtime.wire import monotonic_message_ids
from schemas.errors import Malformed, Permanent, Transient
from schemas.topology import RETRY_DELAYS
from workers.config import Config
from workers.process import Process, unwrapped
from workers.wiring import open_role

ROOT = Path(__file__).parents[3]
POLICY = Policy(("1s", "30s", "10m"))
BUGS_GIVEN_UP = Policy(("1s", "30s", "10m"), unexpected=("5s",))


@pytest.mark.parametrize(
    ("error", "attempt", "expected"),
    [
        (Transient("x"), 1, Retry("1s")),
        (Transient("x"), 2, Retry("30s")),
        (Transient("x"), 3, Retry("10m")),
        (Transient("x"), 4, DeadLetter("Transient: x")),
        (Transient("x", retry_after=3), 1, Retry("5s")),
        (Transient("x", retry_after=0), 2, Retry("30s")),
        (Transient("x", retry_after=99999), 1, Retry("6h")),
        (Transient("x", retry_after=3), 4, DeadLetter("Transient: x")),
        (Permanent("x"), 1, DeadLetter("Permanent: x")),
        (Malformed("odd"), 1, Quarantine("odd")),
        (Malformed("odd"), 4, Quarantine("odd")),
        (KeyError("+8613800000021"), 1, Retry("1s")),
        (KeyError("+8613800000021"), 4, DeadLetter("KeyError")),
    ],
)
def test_an_error_and_an_attempt_make_a_verdict(error: Exception, attempt: int, expected: Verdict) -> None:
    assert verdict(error, attempt, POLICY) == expected


@pytest.mark.parametrize(
    ("error", "attempt", "expected"),
    [
        (KeyError("x"), 1, Retry("5s")),
        (KeyError("x"), 2, DeadLetter("KeyError")),
        (Transient("x"), 2, Retry("30s")),
        (Transient("x", retry_after=3), 1, Retry("5s")),
        (Permanent("x"), 1, DeadLetter("Permanent: x")),
    ],
)
def test_an_error_that_nobody_planned_for_may_have_a_schedule_of_its_own(
    error: Exception, attempt: int, expected: Verdict
) -> None:
    assert verdict(error, attempt, BUGS_GIVEN_UP) == expected


def test_the_config_changes_the_schedule_of_the_stages_that_it_names() -> None:
    wanted = {"park": StageRetry(schedule=("1s", "1h")), "fan_out": StageRetry(unexpected=())}
    found = policies(Config.model_validate({"retry": wanted}).retry)
    assert found["park"] == Policy(("1s", "1h"))
    assert found["fan_out"] == Policy(POLICIES["fan_out"].delays, unexpected=())
    assert {stage: policy for stage, policy in found.items() if stage not in wanted} == {
        stage: policy for stage, policy in POLICIES.items() if stage not in wanted
    }


async def test_each_stage_runs_by_the_schedule_of_the_config(tmp_path: Path) -> None:
    names = list(POLICIES)
    schedules = {name: (delay,) for name, delay in zip(names, RETRY_DELAYS, strict=False)}
    config = Config.model_validate(
        {
            "store": f"sqlite:{tmp_path}/state",
            "objects": f"file:{tmp_path}/recordings",
            "sink": [{"name": "file", "kind": "jsonl", "path": tmp_path / "calls.jsonl"}],
            "broker": "amqp://u@h/v",
            "queue": [{"name": "narrow", "max_length": 10}],
            "retry": {name: {"schedule": schedule} for name, schedule in schedules.items()},
        }
    )
    async with open_embedded(None) as broker:
        process = a_process(config, broker)
        for name in names:
            async with open_role(process, name) as loops:
                assert {loop.spec.policy for loop in loops if isinstance(loop, StageLoop)} == {Policy(schedules[name])}


def test_the_documented_schedules_are_the_defaults() -> None:
    rows = re.findall(r"^\| ([a-z_, ]+)\| ((?:\d+[smh] )+)\|$", (ROOT / "docs/config.md").read_text(), re.MULTILINE)
    told = {stage: Policy(tuple(delays.split())) for stages, delays in rows for stage in re.findall(r"[a-z_]+", stages)}
    assert {stage: told[stage] for stage in POLICIES} == POLICIES


def a_process(config: Config, broker: Broker) -> Process:
    return Process(
        config=config,
        broker=broker,
        telemetry=Telemetry(),
        clock=system_clock(),
        message_ids=monotonic_message_ids("test"),
        wrap=unwrapped,
    )


def test_every_stage_retries_in_tiers_that_exist() -> None:
    assert {delay for policy in POLICIES.values() for delay in policy.delays} <= RETRY_DELAYS.keys()
    assert POLICY.last_attempt == 4


def test_a_foreign_exception_is_told_by_type_and_place_never_by_text() -> None:
    try:
        int("+8613800000021x")
    except ValueError as error:
        told = reason_of(error)
    assert told.startswith("ValueError at test_verdict.py:")
    assert "138" not in told
