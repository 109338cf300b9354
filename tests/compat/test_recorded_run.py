"""What version 7189888 made of some four hundred pushes is made of them still, byte for byte, but for additions.

Claim keys, facts, events, ids, answers, quarantine, bundles, tables and topology: `tests/fixtures/7189888/README.md`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

import pytest

from tests.building.schemas import problems
from tests.compat.additions import WithoutAdditions, numbers_by_the_outbox, without_layout, without_tables
from tests.compat.let_out import kept_in
from tests.compat.parked_once import parked_once
from tests.compat.recorded import CONFIG, RUN, events_in, read_pushes, read_rows
from tests.compat.run import played

_SHOWN: Final = 300
_ABSENT: Final = "(not there)"


@pytest.fixture(scope="module")
def recorded() -> list[dict[str, Any]]:
    return list(read_rows(RUN))


async def test_every_push_is_answered_read_and_told_as_it_was(recorded: list[dict[str, Any]], tmp_path: Path) -> None:
    script = [row["do"] for row in recorded if "do" in row]
    told: list[str] = []
    without = WithoutAdditions(told)
    made: list[dict[str, Any]] = []
    async for played_row in played(CONFIG, read_pushes(), script, tmp_path, told):
        row = _as_json(played_row)
        assert [problem for event in events_in(row) for problem in problems(event)] == []
        made.append(without(row))
    then_and_now = kept_in(without_layout(recorded)), without_layout(without_tables(made))
    rows_then, rows_now = map(numbers_by_the_outbox, then_and_now)
    once, made_once = parked_once(rows_then), parked_once(rows_now)
    for then, now in zip_longest(map(_declared_in_any_order, once), map(_declared_in_any_order, made_once)):
        assert (found := first_difference(then, now)) is None, found


def test_the_recording_holds_every_kind_of_item_and_event(recorded: list[dict[str, Any]]) -> None:
    """Else it would prove less than it says."""
    items = {item[0] for row in recorded if row["what"].startswith("push ") for item in row["gave"]["items"]}
    assert items == {"call_event", "cdr", "announcement", "sms", "number_state", "other", "malformed"}
    assert {key.rpartition(".")[0] for key in routing_keys(recorded, of="calls")} == {
        "call.completed", "call.incomplete", "call.amended", "call.progress", "call.decided", "recording.stored",
        "recording.failed", "sms.notified", "number.changed", "platform.notified",
    }  # fmt: skip
    assert {
        "callstitch.unique.v1",
        "callstitch.quarantine.v1",
        "callstitch.recordings.v1",
        "callstitch.dead.v1",
    } <= set(routing_keys(recorded, of=""))


def test_a_difference_is_named() -> None:
    then = {"what": "step 1", "gave": {"dedupe": [["calls", '{"revision":1}']]}}
    now = {"what": "step 1", "gave": {"dedupe": [["calls", '{"revision":2}']]}}
    assert first_difference(then, then) is None
    found = first_difference(then, now)
    assert found is not None
    assert found.splitlines() == [
        "step 1: /gave/dedupe/0/1, from byte 12",
        'then {"revision":1}',
        'now  {"revision":2}',
    ]


def _declared_in_any_order(row: dict[str, Any] | None) -> dict[str, Any] | None:
    """A broker does not care which of its queues was declared first."""
    if row is None or row["what"] != "topology":
        return row
    return {**row, "gave": {what: sorted(rows, key=json.dumps) for what, rows in row["gave"].items()}}


def _as_json(row: dict[str, Any]) -> dict[str, Any]:
    """Tuples and lists are the same in a file."""
    read: dict[str, Any] = json.loads(json.dumps(row))
    return read


def routing_keys(value: Any, *, of: str) -> Iterator[str]:
    """Those of all messages to that exchange, wherever they stand."""
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return
    if value[:1] == [of] and len(value) == 6 and isinstance(value[1], str):
        yield value[1]
    for one in value:
        yield from routing_keys(one, of=of)


def first_difference(then: Any, now: Any) -> str | None:
    """Where two rows differ first, and how; None when they are equal."""
    if then is None or now is None:
        there = then or now
        return f"{there['what']}: {'is new' if then is None else 'is gone'}"
    return next((f"{then['what']}: {found}" for found in _differences("", then, now)), None)


def _differences(place: str, then: Any, now: Any) -> Iterator[str]:
    if isinstance(then, dict) and isinstance(now, dict):
        for name in [*then, *(name for name in now if name not in then)]:
            yield from _differences(f"{place}/{name}", then.get(name, _ABSENT), now.get(name, _ABSENT))
    elif isinstance(then, list) and isinstance(now, list):
        for n, (one, other) in enumerate(zip_longest(then, now)):
            yield from _differences(f"{place}/{n}", one, other)
    elif then != now or type(then) is not type(now):
        yield _shown(place, str(then), str(now))


def _shown(place: str, then: str, now: str) -> str:
    at = next(
        (n for n, (one, other) in enumerate(zip(then, now, strict=False)) if one != other), min(len(then), len(now))
    )
    start = max(at - _SHOWN // 2, 0)
    return f"{place}, from byte {at}\nthen {then[start : start + _SHOWN]}\nnow  {now[start : start + _SHOWN]}"
