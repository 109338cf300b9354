"""What KEDA and Kubernetes make of the rules in a rendered manifest, as both document it, on any clock.

Kubernetes, "Horizontal Pod Autoscaling": each metric wants so many pods, the largest wish counts, then the
stabilization window, then the policies. KEDA, "Scaling Deployments": between none and one it decides itself, by
whether any trigger is active, and goes to none only after the cooldown.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

SYNC_SECONDS: Final = 15.0  # --horizontal-pod-autoscaler-sync-period
TOLERANCE: Final = 0.1  # --horizontal-pod-autoscaler-tolerance


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """One metric and how much of it a pod should have; `value`: times the pods there are, else a share of the whole."""

    name: str
    target: float
    activation: float
    value: bool
    metadata: Mapping[str, str]

    def wish(self, measured: float, *, replicas: int, ready: int) -> int:
        """So many pods; the same as now where the measure is within the tolerance."""
        ratio = measured / self.target if self.value else measured / (self.target * replicas)
        if abs(ratio - 1.0) <= TOLERANCE:
            return replicas
        return math.ceil(ratio * ready) if self.value else math.ceil(measured / self.target)


@dataclass(frozen=True, slots=True, kw_only=True)
class Direction:
    """How fast, one way."""

    window: float
    policies: Sequence[tuple[str, int, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a ScaledObject (or an HPA) says."""

    least: int
    most: int
    polling: float
    cooldown: float
    up: Direction
    down: Direction
    triggers: Sequence[Trigger]


def rules(manifest: Any) -> Rules:
    """Those of a rendered ScaledObject."""
    spec = manifest["spec"]
    behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    return Rules(
        least=spec["minReplicaCount"],
        most=spec["maxReplicaCount"],
        polling=spec["pollingInterval"],
        cooldown=spec["cooldownPeriod"],
        up=_direction(behavior["scaleUp"]),
        down=_direction(behavior["scaleDown"]),
        triggers=[_trigger(one) for one in spec["triggers"]],
    )


def door_rules(manifest: Any) -> Rules:
    """Those of the rendered HPA of the door: CPU, as a mean of its pods."""
    spec = manifest["spec"]
    (metric,) = spec["metrics"]
    cpu = Trigger(
        name="cpu",
        target=int(metric["resource"]["target"]["averageValue"].removesuffix("m")) / 1000,
        activation=0.0,
        value=False,
        metadata={},
    )
    return Rules(
        least=spec["minReplicas"],
        most=spec["maxReplicas"],
        polling=SYNC_SECONDS,
        cooldown=math.inf,
        up=_direction(spec["behavior"]["scaleUp"]),
        down=_direction(spec["behavior"]["scaleDown"]),
        triggers=[cpu],
    )


def _direction(rule: Any) -> Direction:
    assert rule["selectPolicy"] == "Max"
    policies = [(one["type"], one["value"], float(one["periodSeconds"])) for one in rule["policies"]]
    return Direction(window=rule["stabilizationWindowSeconds"], policies=policies)


def _trigger(one: Any) -> Trigger:
    metadata = one["metadata"]
    return Trigger(
        name=one["name"],
        target=float(metadata["value"] if one["type"] == "rabbitmq" else metadata["threshold"]),
        activation=float(metadata.get("activationValue", metadata.get("activationThreshold", 0))),
        value=one["metricType"] == "Value",
        metadata=metadata,
    )


@dataclass(slots=True)
class Autoscaler:
    """One ScaledObject at work; `replicas` is what it wants now. Ask it once a second or so with the time."""

    rules: Rules
    replicas: int
    _synced: float = -math.inf
    _polled: float = -math.inf
    _active: float = -math.inf
    _wishes: deque[tuple[float, int]] = field(default_factory=deque)
    _changes: deque[tuple[float, int]] = field(default_factory=deque)

    def step(self, now: float, measured: Mapping[str, float], *, ready: int) -> int:
        """The number of pods from now on."""
        if now - self._polled >= self.rules.polling:
            self._polled = now
            self._activate(now, measured)
        if now - self._synced >= SYNC_SECONDS and self.replicas > 0:
            self._synced = now
            self._set(now, self._limited(now, self._stable(now, self._wish(measured, ready))))
        return self.replicas

    def _activate(self, now: float, measured: Mapping[str, float]) -> None:
        """KEDA's own part."""
        if any(measured[one.name] > one.activation for one in self.rules.triggers):
            self._active = now
            if self.replicas == 0:
                self._set(now, max(1, self.rules.least))
        elif self.rules.least == 0 and now - self._active > self.rules.cooldown:
            self._set(now, 0)

    def _wish(self, measured: Mapping[str, float], ready: int) -> int:
        wishes = [one.wish(measured[one.name], replicas=self.replicas, ready=ready) for one in self.rules.triggers]
        return min(max(*wishes, 1, self.rules.least), self.rules.most)

    def _stable(self, now: float, wish: int) -> int:
        """Up: the least that was wished for in its window; down: the most."""
        earlier = self._wishes or deque([(now, self.replicas)])  # what it finds counts as a first wish
        least = min(wish, *(wanted for at, wanted in earlier if at > now - self.rules.up.window), wish)
        most = max(wish, *(wanted for at, wanted in earlier if at > now - self.rules.down.window), wish)
        earlier.append((now, wish))
        longest = max(self.rules.up.window, self.rules.down.window)
        self._wishes = deque(one for one in earlier if one[0] > now - longest)
        return min(max(self.replicas, least), most)

    def _limited(self, now: float, wish: int) -> int:
        """Not more at a time than the most generous policy allows."""
        if wish > self.replicas:
            return min(wish, max(self._bound(now, one, up=True) for one in self.rules.up.policies))
        if wish < self.replicas:
            return max(wish, min(self._bound(now, one, up=False) for one in self.rules.down.policies))
        return wish

    def _bound(self, now: float, policy: tuple[str, int, float], *, up: bool) -> int:
        kind, value, period = policy
        recent = sum(change for at, change in self._changes if at > now - period and (change > 0) == up)
        before = self.replicas - recent
        if kind == "Pods":
            return before + value if up else before - value
        share = value / 100
        return math.ceil(before * (1 + share)) if up else math.floor(before * (1 - share))

    def _set(self, now: float, wanted: int) -> None:
        if wanted != self.replicas:
            self._changes.append((now, wanted - self.replicas))
            self.replicas = wanted
