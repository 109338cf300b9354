"""Thousands of seeds of the simulation: ours loses and doubles nothing in any of them, and each naive way is caught.

What must come out is a table written from the traffic and the emulator's word, which knows nothing of our code.
`CALLSTITCH_SEEDS` says how many seeds ours runs, from `CALLSTITCH_FIRST_SEED` on.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random
from typing import Any, Final

import pytest

from console.emulator.huawei.privatenumber import payloads
from console.emulator.huawei.privatenumber.calls import Call, build_calls
from console.emulator.huawei.privatenumber.expect import TIMELINE_TYPES, expect
from console.emulator.huawei.pushes import encode
from console.emulator.moments import utc
from console.emulator.push import Content
from schemas.envelope import Envelope, Kind, derived_id
from schemas.notification import Notification, to_json
from tests.scenarios import naive
from tests.scenarios.naive import SOURCE, Variant
from tests.scenarios.simulation import Simulation, World

SEEDS: Final = int(os.environ.get("CALLSTITCH_SEEDS", "60"))
FIRST_SEED: Final = int(os.environ.get("CALLSTITCH_FIRST_SEED", "0"))
START: Final = datetime(2026, 11, 21, 8, 0, 0, tzinfo=UTC)
CALLS: Final = build_calls(seed=1, start=START, calls=120)
CALLS_AT_ONCE: Final = (1, 2)
LATE_SECONDS: Final = 60  # a CDR that comes after the simulation's cdr_wait

LOST: Final = "lost"
DOUBLE: Final = "double counted"
WRONG: Final = "wrong record"
TWO_BODIES: Final = "two bodies with one id"
Finding = tuple[str, str]  # the oracle, and what it says


def _corrected(call: Call) -> Content:
    later = call.times["disconnect"] + timedelta(seconds=3)
    return payloads.cdr(call) | {"callEndTime": utc(later)}


VERSIONS: Final = {"cdr": payloads.cdr, "corrected": _corrected, "redial": payloads.redial_cdr}
CDRS: Final = (
    (),
    ("cdr",),
    ("cdr", "corrected"),
    ("cdr", "corrected"),
    ("cdr", "redial"),
    ("cdr", "corrected", "redial"),
    ("redial", "cdr", "corrected"),
)
NOT_COMPARED: Final = {"timeline", "recordings", "cdr_accepted"}  # each entry is counted instead
NOT_KNOWN_WITHOUT_CDR: Final = {"mode", "missing"}
EVENT_TOLD: Final = 0.9  # the chance of each; what a platform never sends is missing, and waited for

ENOUGH_SEEDS: Final = 40  # to meet each of these at least so often:
MUST_MEET: Final = Counter(
    {
        "deaths": 200,
        "repeated": 40,
        "callstitch.call.incomplete.v1": 2,
        "callstitch.call.amended.v1": 20,
        "callstitch.recording.stored.v1": 5,
    }
)
NAIVE_SEEDS: Final = 200  # in which each must be caught; the rarest shows in one of twenty
CAUGHT_BY: Final = (
    (naive.ACK_FIRST, (LOST,)),
    (naive.PUBLISH_FIRST, (DOUBLE, TWO_BODIES)),
    (naive.SEEN_FIRST, (LOST,)),
    (naive.MARK_FIRST, (LOST,)),
    (naive.LAST_WRITER_WINS, (WRONG,)),
    (naive.SESSION_AS_KEY, (LOST,)),
    (naive.BODY_AS_KEY, (DOUBLE,)),
    (naive.AMENDMENTS_DROPPED, (WRONG,)),
    (naive.CLAIM_ORDER, (WRONG,)),
    (naive.BODY_REBUILT, (TWO_BODIES,)),
)
CALM_SEEDS: Final = 3
RIGHT_WHILE_CALM: Final = (naive.ACK_FIRST, naive.SEEN_FIRST, naive.MARK_FIRST, naive.LAST_WRITER_WINS)

pytestmark = pytest.mark.timeout(120 + SEEDS)

Item = Content  # one call event or one version of one CDR, as the platform writes it


@dataclass(frozen=True, kw_only=True)
class Told:
    """What the platform told of one call, and so what must come out."""

    call: Call
    steps: Sequence[str]
    cdrs: Sequence[str]
    record: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """The pushes of one seed in order, each with its second, and the table of what they told."""

    pushes: Sequence[tuple[float, list[Item]]]
    told: Sequence[Told]


@pytest.mark.parametrize("variant", [Variant(), naive.COMPOSED], ids=lambda given: given.name)
def test_ours_loses_doubles_and_tells_nothing_wrong_in_any_seed(variant: Variant) -> None:
    met: Counter[str] = Counter()
    for seed in range(FIRST_SEED, FIRST_SEED + SEEDS):
        with _saying_how_to_run_alone(seed):
            found, world = findings(seed, variant)
            assert not found, "\n".join(f"{oracle}: {what}" for oracle, what in found)
        met += Counter(deaths=world.deaths, repeated=len(world.events) - len({*world.events}))
        met += Counter(json.loads(body)["type"] for body in {*world.events})
    assert SEEDS < ENOUGH_SEEDS or met >= MUST_MEET, met


@pytest.mark.parametrize(("variant", "oracles"), CAUGHT_BY, ids=[f"{v.name}: {', '.join(o)}" for v, o in CAUGHT_BY])
def test_a_naive_way_is_caught_by_its_oracle(variant: Variant, oracles: tuple[str, ...]) -> None:
    seen: set[str] = set()
    for seed in range(NAIVE_SEEDS):
        seen |= {oracle for oracle, _ in findings(seed, variant)[0]}
        if seen >= {*oracles}:
            return
    pytest.fail(f"{sorted({*oracles} - seen)} saw nothing in {NAIVE_SEEDS} seeds")


@pytest.mark.parametrize("variant", RIGHT_WHILE_CALM, ids=lambda given: given.name)
def test_a_naive_way_does_the_job_as_long_as_nobody_dies_and_nothing_changes_places(variant: Variant) -> None:
    assert [findings(seed, variant, calm=True)[0] for seed in range(CALM_SEEDS)] == [[]] * CALM_SEEDS


def test_a_seed_runs_the_same_way_again() -> None:
    assert findings(1, Variant())[1].events == findings(1, Variant())[1].events


@contextmanager
def _saying_how_to_run_alone(seed: int) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        alone = f"CALLSTITCH_FIRST_SEED={seed} CALLSTITCH_SEEDS=1 pytest tests/scenarios/test_simulation.py -k ours"
        error.add_note(f"seed {seed}; to run it alone: {alone}")
        raise


def a_traffic(rng: Random) -> Traffic:
    """A call or two, of each some events and CDRs or none: everything in any order and up to three times."""
    firsts: list[tuple[float, Item]] = []
    told = []
    for call in rng.sample(CALLS, rng.choice(CALLS_AT_ONCE)):
        steps = tuple(step for step in call.times if step == "callin" or rng.random() < EVENT_TOLD)
        told.append(_told(call.number, steps, rng.choice(CDRS)))
        firsts += _first_tellings(rng, told[-1])
    again = [(second + rng.uniform(0.1, 40), item) for second, item in firsts for _ in range(rng.choice((0, 0, 1, 2)))]
    pushes = [(second, [item, *_merged(rng, second, item, firsts)]) for second, item in [*firsts, *again]]
    return Traffic(pushes=sorted(pushes, key=lambda push: push[0]), told=told)


def _first_tellings(rng: Random, told: Told) -> Iterator[tuple[float, Item]]:
    for step in told.steps:
        yield rng.uniform(0, 20), payloads.event(told.call, step)
    second = rng.uniform(0, 20) + rng.choice((0, 0, 0, LATE_SECONDS))
    for name in told.cdrs:
        yield second, VERSIONS[name](told.call)
        second += rng.uniform(0.1, 10)


def _merged(rng: Random, second: float, item: Item, firsts: Sequence[tuple[float, Item]]) -> list[Item]:
    """A push of CDRs may carry one more that was told before: a platform merges them as it likes."""
    known = [other for at, other in firsts if at <= second and _is_cdr(other) and other is not item]
    return [rng.choice(known)] if _is_cdr(item) and known and rng.random() < 0.3 else []


def _is_cdr(item: Item) -> bool:
    return "icid" in item


@cache
def _told(number: int, steps: Sequence[str], cdrs: Sequence[str]) -> Told:
    call = CALLS[number]
    events = {step: payloads.event(call, step) for step in steps}
    last = {str(cdr["icid"]): cdr for cdr in (VERSIONS[name](call) for name in cdrs)}
    return Told(call=call, steps=steps, cdrs=cdrs, record=expect(call, seed=1, events=events, cdrs=last))


def _arrivals(pushes: Sequence[tuple[float, list[Item]]]) -> Iterator[Envelope]:
    """Each push with an id and a moment of its own."""
    for n, (second, items) in enumerate(pushes):
        path, content = "/status", items[0]
        if _is_cdr(content):
            path, content = "/fee", payloads.fee(items, app_key="k")
        raw = Notification(path=path, remote="", content_type="application/json", body=encode(content))
        at = START + timedelta(seconds=second, microseconds=n)
        yield Envelope(id=derived_id("push", n), kind=Kind.NOTIFICATION, source=SOURCE.name, at=at, body=to_json(raw))


def findings(seed: int, variant: Variant, *, calm: bool = False) -> tuple[list[Finding], World]:
    """Everything that is not as it must be after this seed, each with the oracle that sees it."""
    traffic = a_traffic(Random(f"{seed}:traffic"))  # noqa: S311 - the same seed, the same traffic
    audio = {name: digest for told in traffic.told for name, digest in told.record["recordings"].items()}
    world = World(rng=Random(f"{seed}:schedule"), now=START, calm=calm)  # noqa: S311 - the same
    arrivals = deque(_arrivals(traffic.pushes))
    Simulation(world=world, starts=variant.starts(world, audio), order=variant.order, arrivals=arrivals).run()
    found = [*_told_by_events(traffic, world.events), *_compared("the ledger", *_ledgers(traffic, world.databases[0]))]
    for db in world.databases:
        db.close()
    return found, world


def _told_by_events(traffic: Traffic, deliveries: Sequence[bytes]) -> Iterator[Finding]:
    bodies: defaultdict[str, set[bytes]] = defaultdict(set)
    for body in deliveries:
        bodies[json.loads(body)["id"]].add(body)
    yield from ((TWO_BODIES, f"event {event_id}") for event_id, said in bodies.items() if len(said) > 1)
    by_call: defaultdict[str, list[Any]] = defaultdict(list)
    for said in bodies.values():
        event = json.loads(min(said))
        by_call[event["subject"]].append(event)
    for told in traffic.told:
        yield from _about(told, by_call.pop(f"{SOURCE.name}:{told.call.session_id}", []))
    yield from ((WRONG, f"{call}: a call that was never made") for call in by_call)


def _about(told: Told, events: Sequence[Any]) -> Iterator[Finding]:
    """A record is wrong when each thing told is in it once, and it says something else all the same."""
    records = [event["data"]["call"] for event in events if "revision" in event]
    record: Any = max(records, key=lambda call: call["revision"], default={})
    off = [*_compared(told.call.session_id, _came(record, events), _must_come(told, record, events))]
    yield from off
    if off:
        return
    cdrs = [{"record_id": cdr["record_id"], "ended_at": cdr["ended_at"]} for cdr in record["cdrs"]]
    says = record | {"cdrs": sorted(cdrs, key=lambda cdr: str(cdr["record_id"]))}
    for name in told.record.keys() - (NOT_COMPARED if told.cdrs else NOT_COMPARED | NOT_KNOWN_WITHOUT_CDR):
        if says[name] != told.record[name]:
            yield WRONG, f"{told.call.session_id}: {name}"


def _came(record: Any, events: Sequence[Any]) -> Counter[str]:
    """What one call's events tell, and how often: each event once, however often it was delivered."""
    kinds = [event["type"].removeprefix("callstitch.").removesuffix(".v1") for event in events]
    revisions = [event["revision"] for event in events if "revision" in event]
    stored = [event["data"]["recording"]["sha256"] for event in events if "recording.stored" in event["type"]]
    live = [event["data"]["event"]["type"] for event in events if "call.progress" in event["type"]]
    return Counter(
        [
            *(f"event {kind}" for kind in kinds if kind in ("call.completed", "call.incomplete")),
            *(f"revision {n}" for n in revisions),
            *(f"event recording.stored {sha256}" for sha256 in stored),
            *(f"event call.progress {step}" for step in live),
            *(f"timeline {entry['type']}" for entry in record.get("timeline", ())),
            *(f"cdr {cdr['record_id']}" for cdr in record.get("cdrs", ())),
            *(f"recording stored {row['sha256']}" for row in record.get("recordings", ()) if row["state"] == "stored"),
        ]
    )


def _must_come(told: Told, record: Any, events: Sequence[Any]) -> Counter[str]:
    """The same from the traffic alone; beside a CDR `call.incomplete` may have been told. Revisions have no gap."""
    steps = [TIMELINE_TYPES[step] for step in told.steps]
    audio = [digest["sha256"] for digest in told.record["recordings"].values()]
    return Counter(
        [
            *(["event call.completed"] if told.cdrs else ["event call.incomplete"]),
            *{"event call.incomplete" for event in events if told.cdrs and "call.incomplete" in event["type"]},
            *(f"revision {n + 1}" for n in range(record.get("revision", 0))),
            *(f"event recording.stored {sha256}" for sha256 in audio),
            *(f"event call.progress {step}" for step in steps),
            *(f"timeline {step}" for step in steps),
            *(f"cdr {cdr['record_id']}" for cdr in told.record["cdrs"]),
            *(f"recording stored {sha256}" for sha256 in audio),
        ]
    )


def _ledgers(traffic: Traffic, claims: sqlite3.Connection) -> tuple[Counter[str], Counter[str]]:
    """What dedupe counted, and what was pushed."""
    names = ("receipts", "items", "unique", "amended", "quarantined")
    counted = claims.execute("SELECT count(*), sum(items), sum(new), sum(amended), sum(quarantined) FROM receipt")
    amended = sum("corrected" in told.cdrs for told in traffic.told)
    distinct = sum(len(told.steps) + len(told.cdrs) for told in traffic.told)
    pushed = (len(traffic.pushes), sum(len(items) for _, items in traffic.pushes), distinct - amended, amended, 0)
    return Counter(dict(zip(names, counted.fetchone(), strict=True))), Counter(dict(zip(names, pushed, strict=True)))


def _compared(where: str, came: Counter[str], told: Counter[str]) -> Iterator[Finding]:
    yield from ((LOST, f"{where}: {name}, {came[name]} of {n}") for name, n in told.items() if came[name] < n)
    yield from ((DOUBLE, f"{where}: {name}, {n} of {told[name]}") for name, n in came.items() if n > told[name])
