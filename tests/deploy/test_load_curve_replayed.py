"""A peak on the real thing: a controller that reads the rendered rules starts real workers, and ends them by SIGTERM.

CALLSTITCH_PEAKS=2 has a day's two, with a silence between them in which all pods but one go. RabbitMQ is real, and
asked as KEDA asks it; what a notification becomes is compared with what the platform sent. Time goes faster for the
controller, so that minutes of its rules pass in seconds.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import pika
import pytest

from schemas.topology import stage_queue
from tests.deploy import chart
from tests.deploy.autoscaler import Autoscaler, rules
from tests.deploy.managed import ManagedRabbitMQ
from tests.e2e.balance import parked, wait_until_balanced
from tests.e2e.programs import Role, end
from tests.e2e.roles import FILE_WORKERS, running_roles
from tests.e2e.running import Emulator, Up, playing
from tests.services import debian, ports

pytestmark = pytest.mark.rabbitmq

FASTER: Final = 8.0  # a minute of the rules takes 7.5 s: about as long as a worker needs to start here
SCALED: Final = {"dedupe": "callstitch.received.v1", "correlate": "callstitch.unique.v1"}
STEPS: Final = 0.25
PEAKS: Final = int(os.environ.get("CALLSTITCH_PEAKS", "1"))
CALLS: Final = 600 * PEAKS  # a minute of it each: longer than a second pod takes to be at work on a slow machine
RATE: Final = 60.0
PATIENCE_SECONDS: Final = 150.0
# Fewer messages a second than the slowest machine makes of a peak, whose bundles are the larger the slower it is; in
# place of what a pod of its own would bear.
FOR_HERE: Final = (
    "keda.enabled=true",
    "keda.scaleDownSeconds=60",
    *(f"stages.{stage}.autoscaling.{one}" for stage in SCALED for one in ("rate=2", "maxReplicas=2")),
)


@pytest.fixture(scope="module")
def node() -> Iterator[ManagedRabbitMQ]:
    one = debian.or_skip(ManagedRabbitMQ)
    yield one
    one.close()


@dataclass(kw_only=True)
class Deployment:
    """The pods of a stage, as many as its ScaledObject wants."""

    stage: str
    door: Up
    scaler: Autoscaler
    grace: float
    pods: list[Role]
    leaving: list[tuple[float, Role]] = field(default_factory=list)
    ended: list[tuple[int, float]] = field(default_factory=list)  # exit code, seconds since SIGTERM
    unstarted: set[str] = field(default_factory=set)  # pods told to go before they were ready: no work in hand
    made: int = 1
    grown: bool = False

    def step(self, now: float, measured: Mapping[str, float]) -> None:
        """One look of KEDA and of the HPA."""
        ready = sum(pod.is_ready() for pod in self.pods)
        wanted = self.scaler.step(now * FASTER, measured, ready=ready)
        while len(self.pods) < wanted:
            self._add()
        while len(self.pods) > wanted:
            pod = self.pods.pop()
            if not pod.is_ready():
                self.unstarted.add(pod.name)
            pod.process.send_signal(signal.SIGTERM)
            self.leaving.append((time.monotonic(), pod))
        self.grown |= len(self.pods) > 1 and self.pods[-1].is_ready()
        self.reap()

    def reap(self) -> None:
        """Look who is gone; whoever outlives its grace period would be killed."""
        for since, pod in list(self.leaving):
            code, took = pod.process.poll(), time.monotonic() - since
            if code is not None:
                code = 0 if code == -signal.SIGTERM and pod.name in self.unstarted else code
                self.ended.append((code, took))
                self.leaving.remove((since, pod))
            assert took < self.grace, f"{pod.name} would be killed; {pod.tail()}"

    def _add(self) -> None:
        admin = f"127.0.0.1:{ports.free_port()}"
        self.made += 1
        pod = replace(
            self.pods[0],
            name=f"{self.stage}-{self.made}",
            admin=admin,
            environ={**self.door.environ, "CALLSTITCH_INGEST_ADMIN": admin},
        )
        pod.start(ready=False)
        self.pods.append(pod)


def deployment(stage: str, door: Up, first: Role) -> Deployment:
    objects = chart.rendered("values.yaml", *FOR_HERE)
    scaled = chart.of_kind(objects, "ScaledObject")[f"cs-callstitch-{stage}"]
    grace = chart.deployments(objects)[stage]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    return Deployment(
        stage=stage, door=door, pods=[first], scaler=Autoscaler(rules=rules(scaled), replicas=1), grace=grace
    )


def measured(node: ManagedRabbitMQ, url: str, queue: str) -> Mapping[str, float]:
    """What KEDA's scaler takes from the answer: `messages`, and the rate of publishes."""
    told = node.queue(url, queue)
    rate = told.get("message_stats", {}).get("publish_details", {}).get("rate", 0.0)
    return {"backlog-0": told.get("messages", 0), "rate-0": rate}


def scale(node: ManagedRabbitMQ, url: str, scaled: Sequence[Deployment], until: Callable[[Deployment], bool]) -> None:
    """Let the controller work until that is so of each."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not all(until(one) for one in scaled):
        assert time.monotonic() < deadline, [
            (one.stage, len(one.pods), one.leaving, one.pods[-1].tail()) for one in scaled
        ]
        for one in scaled:
            one.step(time.monotonic(), measured(node, url, SCALED[one.stage]))
        time.sleep(STEPS)


def grown(one: Deployment) -> bool:
    """A second pod was at work in this peak."""
    return one.grown


def shrunk(one: Deployment) -> bool:
    """All but one are gone."""
    return len(one.pods) == 1 and not one.leaving


def peaks(node: ManagedRabbitMQ, url: str, scaled: Sequence[Deployment], emulator: Emulator) -> None:
    """The last one plays to its end by itself."""
    scale(node, url, scaled, grown)
    for _ in range(PEAKS - 1):
        emulator.process.send_signal(signal.SIGSTOP)  # the platform is silent
        scale(node, url, scaled, shrunk)
        for one in scaled:
            one.grown = False
        emulator.process.send_signal(signal.SIGCONT)
        scale(node, url, scaled, grown)


def test_a_peak_through_the_rendered_rules_kills_nobody_and_balances(
    node: ManagedRabbitMQ, postgres_dsn: str, tmp_path: Path
) -> None:
    url = node.make_vhost()
    with running_roles(tmp_path, url, store=postgres_dsn, workers=FILE_WORKERS) as (door, roles):
        scaled = [deployment(stage, door, roles[stage]) for stage in SCALED]
        try:
            with playing(door, calls=CALLS, rate=RATE) as emulator:
                peaks(node, url, scaled, emulator)
                truth = emulator.finish()
                scale(node, url, scaled, shrunk)
                wait_until_balanced(door, truth, PATIENCE_SECONDS, store=postgres_dsn)
        finally:
            end(*(pod for one in scaled for pod in [*one.pods, *(leaving for _, leaving in one.leaving)]))
        for one in scaled:
            assert len(one.ended) >= PEAKS
            assert {code for code, _ in one.ended} == {0}
        assert parked(door, postgres_dsn) == {"quarantine": 0, "dead": 0, "unrouted": 0}


def test_what_is_in_hand_is_told_over_http_and_not_over_amqp(node: ManagedRabbitMQ) -> None:
    """Why the trigger asks the management API: a stage with everything in hand would look idle."""
    url, name = node.make_vhost(), "in-hand"
    assert stage_queue(name).name == name
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    channel.queue_declare(name, durable=True, arguments={"x-queue-type": "quorum"})
    channel.confirm_delivery()
    for _ in range(3):
        channel.basic_publish("", name, b"one")
    taken = [channel.basic_get(name) for _ in range(3)]
    assert all(method is not None for method, _, _ in taken)
    assert channel.queue_declare(name, durable=True, passive=True).method.message_count == 0
    deadline = time.monotonic() + 30
    while node.queue(url, name).get("messages") != 3 and time.monotonic() < deadline:
        time.sleep(STEPS)
    told = node.queue(url, name)
    assert (told["messages"], told["messages_ready"], told["messages_unacknowledged"]) == (3, 0, 3)
    connection.close()
