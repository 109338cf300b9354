"""A day of pushes through the pods that the rendered rules give each role, second by second.

What a notification costs is table (i) of docs/scaling.md, measured at full load; a role was ready 4 to 8 s after its
start on two busy cores, and a scheduler and a kubelet have twelve more here. Everything else is as slow as it may be:
RabbitMQ tells its depth every 5 s, Prometheus asks every 15 s, the autoscaler looks every 15 s.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from runtime import drain
from schemas.topology import STAGES
from tests.deploy import chart
from tests.deploy.autoscaler import Autoscaler, door_rules, rules

DAY: Final = 86_400
COST_MS: Final = {"ingest": 0.21, "dedupe": 0.20, "correlate": 0.30}
NOTIFICATIONS_PER_CALL: Final = 6
START_SECONDS: Final = 8 + 12
CONFIRM_SECONDS: Final = 0.005  # while one bundle is confirmed the door gathers the next
BATCH_SECONDS: Final = 0.02  # the pace of a stage (docs/design.md section 3)
MOST_IN_A_BUNDLE: Final = 128
TOLD_SECONDS: Final = 5  # RabbitMQ's collect_statistics_interval
SCRAPED_SECONDS: Final = 15
RATE_SECONDS: Final = 60
READY_AT_LEAST: Final = 16  # of the query for an age
# Percent of a day's calls by hour: two peaks of 12 (docs/scaling.md), in the morning and in the afternoon.
HOURS: Final = (
    0.3, 0.2, 0.1, 0.1, 0.2, 0.5, 1.0, 3.0, 7.0, 10.5, 12.0, 9.0,
    5.5, 7.0, 10.0, 12.0, 9.5, 5.0, 2.5, 1.5, 1.2, 0.9, 0.6, 0.4,
)  # fmt: skip


def curve(calls: int, seed: int = 11) -> Iterator[float]:
    """Notifications of each second; in each hour one minute has twice the hour's mean, and it comes at once."""
    chance = random.Random(seed)  # noqa: S311 - the same day each time
    for share in HOURS:
        mean = calls * NOTIFICATIONS_PER_CALL * share / 100 / 3600
        minutes = [chance.uniform(0.7, 1.25) for _ in range(59)]
        minutes.insert(chance.randrange(60), 2.0)
        for factor in minutes:
            yield from [mean * factor] * 60


@dataclass(slots=True)
class Seen:
    """What came of it."""

    oldest: float = 0.0
    pods: list[int] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)  # how long each pod took from SIGTERM to its end


@dataclass(slots=True)
class Role:
    """The pods of one role, and what waits for them: [moment at the door, notifications], oldest first."""

    name: str
    scaler: Autoscaler
    speed: float  # notifications a second and pod
    bundle: Callable[[float, int], float]  # notifications in a message, of the rate and the number who send them
    waiting: deque[list[float]] = field(default_factory=deque)
    ready_at: list[float] = field(default_factory=list)
    seen: Seen = field(default_factory=Seen)
    arrived: deque[float] = field(default_factory=lambda: deque(maxlen=RATE_SECONDS))
    size: float = 1.0
    told: dict[str, float] = field(default_factory=dict)

    @property
    def held(self) -> float:
        """All that waits, in notifications."""
        return sum(amount for _, amount in self.waiting)

    def ready(self, now: float) -> int:
        """Pods that work."""
        return sum(at <= now for at in self.ready_at)

    def take(self, moments: Sequence[Sequence[float]], senders: int) -> None:
        """What was passed on in this second."""
        amount = sum(part for _, part in moments)
        self.arrived.append(amount)
        self.size = self.bundle(amount, senders)
        self.waiting.extend([at, part] for at, part in moments)

    def work(self, now: float) -> list[list[float]]:
        """What its pods get done in this second, oldest first."""
        able, done = self.ready(now) * self.speed, []
        while self.waiting and able > 0:
            at, amount = self.waiting[0]
            part = min(amount, able)
            able -= part
            done.append([at, part])
            if part == amount:
                self.waiting.popleft()
            else:
                self.waiting[0][1] = amount - part
        self.seen.oldest = max(self.seen.oldest, now - self.waiting[0][0] if self.waiting else 0.0)
        return done

    def tell(self, now: int) -> None:
        """What RabbitMQ and Prometheus know, as old as they let it become."""
        messages = math.ceil(self.held / self.size)
        if now % TOLD_SECONDS == 0:
            last = list(self.arrived)[-TOLD_SECONDS:]
            rate = sum(last) / len(last) / self.size if last else 0.0
            in_hand = math.ceil(rate * BATCH_SECONDS)
            self.told |= {"backlog-0": messages + in_hand, "rate-0": rate}
        if now % SCRAPED_SECONDS == 0:
            late = now - self.waiting[0][0] if messages > READY_AT_LEAST else 0.0
            self.told |= {"age-0": late, "work": sum(self.arrived) / max(1, len(self.arrived))}

    def scale(self, now: int) -> None:
        """As many pods as the rules want; the youngest goes first, and ends by the table of runtime/drain.py."""
        wanted = self.scaler.step(now, self.told, ready=self.ready(now))
        while len(self.ready_at) < wanted:
            self.ready_at.append(now + START_SECONDS)
        while len(self.ready_at) > wanted:
            self.ready_at.sort()
            self.ready_at.pop()
            row = STAGES.get(self.name)
            in_hand = min(self.held, row.most * self.size) if row else 0.0
            self.seen.ends.append(min(in_hand / self.speed, drain.STAGES) + drain.CONNECTION)
        self.seen.pods.append(wanted)


def grown(rate: float, senders: int, *, gathers: float) -> float:
    """How many notifications share a message, where each sender gathers for so many seconds."""
    return min(max(1.0, rate / max(1, senders) * gathers), MOST_IN_A_BUNDLE)


def _role(name: str, scaler: Autoscaler, slower: float, gathers: float) -> Role:
    role = Role(
        name=name,
        scaler=scaler,
        speed=1000 / COST_MS[name] / slower,
        bundle=lambda rate, senders: grown(rate, senders, gathers=gathers),
    )
    role.ready_at = [-1.0] * scaler.replicas
    return role


def played(objects: Sequence[chart.Object], calls: int, *, slower: float = 1.0) -> Mapping[str, Seen]:
    """A day of so many calls under the rules of these manifests; `slower`: each pod takes so many times as long."""
    found: dict[str, Any] = {chart.component(one): one for one in objects if one["kind"] == "ScaledObject"}
    (hpa,) = [one for one in objects if one["kind"] == "HorizontalPodAutoscaler"]
    door_scaler = Autoscaler(rules=door_rules(hpa), replicas=hpa["spec"]["minReplicas"])
    door = _role("ingest", door_scaler, slower, 0.0)
    dedupe, correlate = (
        _role(name, Autoscaler(rules=rules(found[name]), replicas=rules(found[name]).least), slower, gathers)
        for name, gathers in (("dedupe", CONFIRM_SECONDS), ("correlate", BATCH_SECONDS))
    )
    for now, rate in enumerate(curve(calls)):
        door.take([[now, rate]], 1)
        dedupe.take(door.work(now), door.ready(now))
        correlate.take(dedupe.work(now), dedupe.ready(now))
        correlate.work(now)
        door.told = {"cpu": rate / door.speed}
        door.scale(now)
        for role in (dedupe, correlate):
            role.tell(now)
            role.scale(now)
    return {role.name: role.seen for role in (door, dedupe, correlate)}
