"""Every case from the field, posted to a running Callstitch over HTTP: what comes out is what its README tells."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.cases import CONFIG, DIRECTORY, EXPECTED, posted, records, told_of_no_call
from tests.e2e.programs import Answer
from tests.e2e.running import Up, callstitch, running_up

SUBJECTS = {subject for expected in EXPECTED.values() for subject in expected.records}
RAWS = sum(len(expected.raws) for expected in EXPECTED.values())


@dataclass(frozen=True)
class Played:
    """All cases, posted one after the other, and told."""

    up: Up
    answers: Mapping[str, list[Answer]]


def play(up: Up) -> Played:
    answers = {name: posted(up, name) for name in EXPECTED}
    up.wait_for(lambda: records(up.events()).keys() >= SUBJECTS)
    up.wait_for(lambda: len(list(told_of_no_call(up.events()))) >= RAWS)
    up.wait_for(lambda: "unknown_push" in callstitch(up, "quarantine", "list"))
    return Played(up, answers)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    with running_up(tmp_path_factory.mktemp("cases"), CONFIG) as up:
        yield play(up)


def test_every_case_has_an_expectation() -> None:
    assert {path.stem for path in DIRECTORY.glob("*.http")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_case_comes_out_as_it_is_told(played: Played, name: str) -> None:
    assert faults(played, name) == []


def test_only_what_says_nothing_of_itself_is_set_aside(played: Played) -> None:
    listed = callstitch(played.up, "quarantine", "list")
    assert listed.startswith("1 message(s) in 1 group(s)")
    assert "unknown_push" in listed


@pytest.mark.rabbitmq
def test_all_cases_come_out_alike_on_rabbitmq_and_postgresql(
    tmp_path: Path, fresh_amqp_url: str, postgres_dsn: str
) -> None:
    environ = {"CALLSTITCH_BROKER": fresh_amqp_url, "CALLSTITCH_STORE": postgres_dsn}
    with running_up(tmp_path, CONFIG, environ=environ) as up:
        played = play(up)
        assert {name: found for name in EXPECTED if (found := faults(played, name))} == {}


def faults(played: Played, name: str) -> list[str]:
    """Where a case did not come out as it is told."""
    expected, events = EXPECTED[name], played.up.events()
    found = [f"answered {answer.status}" for answer in played.answers[name] if answer.status != 200]
    told = records(events)
    for subject, fields in expected.records.items():
        record = {field: told[subject].get(field) for field in fields}
        if record != fields:
            found.append(f"{subject}: {record} is not {fields}")
    raws = [raw for raw in told_of_no_call(events) if raw in expected.raws]
    if raws != list(expected.raws):
        found.append(f"{raws} is not {expected.raws}")
    if expected.answer is not None and json.loads(played.answers[name][-1].body) != expected.answer:
        found.append(f"answered {played.answers[name][-1].body!r}")
    for subject in list(expected.records)[:1] if expected.hidden else ():
        shown = callstitch(played.up, "trace", subject)
        found += [f"trace shows {number}" for number in expected.hidden if number in shown]
    return found
