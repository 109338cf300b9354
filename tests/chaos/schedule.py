"""Which fault hits what and when: drawn from the seed before anything starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Final

from tests.chaos.fault import Fault
from tests.chaos.settings import PROCESS_FAULTS, Settings
from tests.chaos.troubles import TROUBLES

# Seconds between two faults of a kind: a service needs time to start again before it is hit once more.
GAPS: Final[Mapping[str, tuple[float, float]]] = {
    "kill": (2.0, 5.0),
    "term": (8.0, 14.0),
    "broker": (40.0, 60.0),
    "store": (18.0, 30.0),
    "proxy": (8.0, 14.0),
}
CLUSTER_GAP: Final = (12.0, 18.0)  # the others serve while one node starts again
ALONE_FACTOR: Final = 4.0  # the only process there is gets a while to work between two faults
AWAY: Final[Mapping[str, tuple[float, float]]] = {
    "kill": (0.0, 1.0),
    "term": (0.0, 1.0),
    "broker": (0.0, 5.0),
    "store": (0.0, 6.0),
    "proxy": (0.5, 4.0),
}
HOW: Final[Mapping[str, tuple[str, ...]]] = {
    "kill": ("kill",),
    "term": ("term",),
    "broker": ("kill", "stop"),
    "store": ("kill", "stop"),
    "proxy": ("cut", "refuse", "stall"),
}
TROUBLE_GAP: Final = (3.0, 6.0)  # between two hard faults: the easy ones' time
# The broker before any hard fault, which take all the time there is on a slow machine.
FIRST_AFTER: Final[Mapping[str, float]] = {"kill": 3.0, "term": 5.0, "broker": 2.0, "store": 4.0, "proxy": 4.0}


def schedule(settings: Settings, targets: Mapping[str, Sequence[str]]) -> list[Fault]:
    """All faults of the run in their order; `targets` names what each kind may hit.

    Targets are dealt like cards, so that each is hit before any is hit twice, and so are the ways to hit them.
    """
    found = [
        fault
        for kind, names in targets.items()
        if settings.wants(kind) and names
        for fault in _of_kind(kind, names, settings)
    ]
    return sorted(found, key=lambda fault: fault.at)


def hard_ones(settings: Settings) -> list[Fault]:
    """The hard faults of the run in their order: so many as find time, each once before any comes twice.

    Their `at` counts as that of the easy ones does, by the clock that stands still while a hard one wants to be alone.
    """
    rng = Random(f"{settings.seed}:troubles")  # noqa: S311 - as below
    names = [name for name in TROUBLES if settings.wants(name)]
    ways = {name: _dealt(rng, settings.ways(name)) for name in names}
    found: list[Fault] = []
    at = taken = 0.0
    for name in _dealt(rng, names) if names else ():
        at += rng.uniform(*TROUBLE_GAP)
        taken += settings.takes(name)
        if at + taken > settings.seconds and found:
            break
        away = rng.uniform(*TROUBLES[name].away)
        found.append(Fault(at=at, kind=name, how=next(ways[name]), target=name, away=away))
    return found


def every_one_fits(settings: Settings) -> bool:
    """Whether there is time to play each hard fault once, and half as much again for a busy machine."""
    names = [name for name in TROUBLES if settings.wants(name)]
    return settings.seconds >= 1.5 * sum(settings.takes(name) + max(TROUBLE_GAP) for name in names)


def _of_kind(kind: str, names: Sequence[str], settings: Settings) -> Iterator[Fault]:
    rng = Random(f"{settings.seed}:{kind}")  # noqa: S311 - a schedule that can be repeated
    targets, ways = _dealt(rng, names), _dealt(rng, HOW[kind])
    alone = kind in PROCESS_FAULTS and len(names) == 1
    at = FIRST_AFTER[kind] * rng.uniform(1.0, 1.5)
    while at < settings.seconds:
        away = rng.uniform(*AWAY[kind])
        yield Fault(at=at, kind=kind, how=next(ways), target=next(targets), away=away)
        gap = CLUSTER_GAP if settings.cluster and kind == "broker" else GAPS[kind]
        at += away + rng.uniform(*gap) * (ALONE_FACTOR if alone else 1)


def _dealt(rng: Random, cards: Sequence[str]) -> Iterator[str]:
    while True:
        yield from rng.sample(cards, len(cards))
