"""The autoscaler of the load curve does what Kubernetes and KEDA document, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.deploy import chart
from tests.deploy.autoscaler import SYNC_SECONDS, Autoscaler, Direction, Rules, Trigger, rules

UP = Direction(window=0, policies=[("Percent", 100, 15), ("Pods", 4, 15)])
DOWN = Direction(window=300, policies=[("Pods", 1, 60)])


def scaler(replicas: int, **changes: Any) -> Autoscaler:
    trigger = Trigger(
        name="m", target=changes.pop("target", 100), activation=0, value=changes.pop("value", False), metadata={}
    )
    settings: dict[str, Any] = {
        "least": 1,
        "most": 100,
        "polling": 15,
        "cooldown": 300,
        "up": UP,
        "down": DOWN,
        "triggers": [trigger],
    }
    return Autoscaler(rules=Rules(**(settings | changes)), replicas=replicas)


def steps(one: Autoscaler, measured: Sequence[float], every: float = SYNC_SECONDS) -> list[int]:
    return [one.step(at * every, {"m": value}, ready=one.replicas) for at, value in enumerate(measured)]


def test_a_share_of_the_whole_wants_its_quotient_rounded_up() -> None:
    assert steps(scaler(1), [201]) == [3]


def test_a_value_wants_so_many_times_the_pods_that_are_ready() -> None:
    one = scaler(4, value=True)
    assert one.step(0, {"m": 150}, ready=4) == 6
    late = scaler(4, value=True)
    assert late.step(0, {"m": 150}, ready=2) == 4, "two that start count for nothing yet: ceil(1.5 x 2) is less than 4"


@pytest.mark.parametrize(("measured", "wanted"), [(218, 2), (222, 3), (182, 2)])
def test_within_a_tenth_nothing_changes(measured: float, wanted: int) -> None:
    assert steps(scaler(2), [measured]) == [wanted]


def test_up_it_doubles_or_adds_four_whichever_is_more_each_15_seconds() -> None:
    assert steps(scaler(1), [10_000] * 5) == [5, 10, 20, 40, 80]


def test_down_it_waits_for_the_window_and_then_takes_one_a_minute() -> None:
    found = steps(scaler(4), [400] + [0] * 40)
    assert found[:20] == [4] * 20
    assert found[20:] == [3] * 4 + [2] * 4 + [1] * 13


def test_a_wish_within_the_window_keeps_the_pods() -> None:
    assert set(steps(scaler(4), [400] + [0] * 10 + [400] + [0] * 15)) == {4}


def test_to_none_only_after_the_cooldown_and_back_at_once() -> None:
    one = scaler(1, least=0)
    assert steps(one, [1] + [0] * 21 + [1]) == [1] * 21 + [0, 1]


def test_with_one_at_least_it_never_goes_to_none() -> None:
    assert steps(scaler(1), [0] * 100) == [1] * 100


def test_the_rules_are_read_from_the_manifest() -> None:
    found = chart.of_kind(chart.rendered("values-large.yaml"), "ScaledObject")["cs-callstitch-correlate"]
    read = rules(found)
    assert (read.least, read.most, read.polling, read.up, read.down) == (2, 16, 15, UP, DOWN)
    assert [(one.name, one.target, one.value) for one in read.triggers] == [
        ("backlog-0", 200, False),
        ("rate-0", 1000, False),
        ("age-0", 10, True),
        ("work", 2000, False),
    ]
