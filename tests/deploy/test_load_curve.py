"""A day's load curve against the ScaledObjects as rendered: nothing waits a minute, and no pod dies with work in hand.

The figures of a run are in docs/scaling.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from runtime import drain
from tests.deploy import chart
from tests.deploy.autoscaler import Autoscaler, rules
from tests.deploy.day import DAY, curve, played

A_MINUTE = 60.0
BY_RABBITMQ_ALONE = ("keda.enabled=true",)
WITH_PROMETHEUS = ("keda.enabled=true", "keda.prometheus.serverAddress=http://prometheus:9090")


def grace(objects: Sequence[chart.Object], role: str) -> float:
    seconds: float = chart.pods(objects)[role]["spec"]["terminationGracePeriodSeconds"]
    return seconds


@pytest.mark.parametrize(
    ("values", "settings", "calls", "slower"),
    [
        pytest.param("values.yaml", WITH_PROMETHEUS, 15_000_000, 1.0, id="default"),
        pytest.param("values.yaml", BY_RABBITMQ_ALONE, 15_000_000, 1.0, id="by RabbitMQ alone"),
        pytest.param("values-large.yaml", (), 50_000_000, 1.0, id="large"),
        pytest.param("values-large.yaml", (), 25_000_000, 2.0, id="pods half as fast as measured"),
    ],
)
def test_a_day_keeps_its_backlog_under_a_minute_and_kills_nobody_at_work(
    values: str, settings: tuple[str, ...], calls: int, slower: float
) -> None:
    objects = chart.rendered(values, *settings)
    for role, found in played(objects, calls, slower=slower).items():
        assert found.oldest < A_MINUTE, role
        assert all(seconds < grace(objects, role) for seconds in found.ends), role
        if role != "ingest":
            assert max(found.pods) > min(found.pods), f"{role} was never scaled up: the day tells nothing"
            assert found.ends, f"{role} was never scaled down"
            assert found.pods[-1] == min(found.pods), f"{role} has the pods of the day at night"


def test_a_backlog_alone_and_a_large_one_is_no_rule() -> None:
    """So the day can fail: ten times the backlog, and neither rate nor age."""
    settings = [f"stages.correlate.autoscaling.{one}" for one in ("backlog=20000", "rate=0", "age=0", "work=0")]
    objects = chart.rendered("values-large.yaml", *settings)
    assert played(objects, 25_000_000, slower=2.0)["correlate"].oldest > A_MINUTE


def test_a_pod_that_hangs_gives_back_what_it_holds_and_ends_before_it_would_be_killed() -> None:
    whole = drain.PROCESS + drain.CUT_OFF
    objects = chart.rendered("values-large.yaml")
    assert all(grace(objects, role) > whole for role in chart.deployments(objects))


TO_NONE = "stages.fetch_recording.autoscaling.minReplicas=0"
RECORDING_SECONDS = 900  # one slow download, which outlives the cooldown


@pytest.mark.parametrize(
    ("in_hand_counts", "killed"),
    [pytest.param(True, False, id="as rendered"), pytest.param(False, True, id="ready alone")],
)
def test_the_last_pod_goes_only_when_nothing_is_in_hand(*, in_hand_counts: bool, killed: bool) -> None:
    """`fetch_recording` with none at least: its queue is empty while it downloads, and over AMQP that would be all."""
    (found,) = [
        one
        for one in chart.of_kind(chart.rendered("values-large.yaml", TO_NONE), "ScaledObject").values()
        if chart.component(one) == "fetch-recording"
    ]
    ruled = rules(found)
    assert ruled.least == 0
    scaler = Autoscaler(rules=ruled, replicas=0)
    pods = []
    for now in range(3 * RECORDING_SECONDS):
        ready, in_hand = int(now < 1), int(1 <= now < RECORDING_SECONDS)
        backlog = ready + (in_hand if in_hand_counts else 0)
        pods.append(scaler.step(now, {"backlog-0": backlog, "age-0": 0.0}, ready=scaler.replicas))
    assert pods[0] == 1
    assert (0 in pods[:RECORDING_SECONDS]) is killed
    assert pods[-1] == 0, "nothing to do, and yet a pod"


def test_the_curve_is_a_day_with_two_peaks() -> None:
    second = list(curve(1_000_000))
    assert len(second) == DAY
    assert sum(second) / 6_000_000 == pytest.approx(1.0, rel=0.05)
    hours = [sum(second[at : at + 3600]) for at in range(0, DAY, 3600)]
    assert [at for at in range(1, 23) if hours[at - 1] < hours[at] > hours[at + 1]] == [10, 15]
    assert max(second) == pytest.approx(400, rel=0.01)  # docs/scaling.md: a million calls
