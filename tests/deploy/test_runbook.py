"""The runbook names only commands, options, metrics and pages that there are."""

from __future__ import annotations

import re
from typing import Final

import pytest
import typer.main

from console.main import app
from runtime.telemetry.families import FAMILIES
from tests.building.tree import PACKAGES, ROOT
from tests.deploy.watching import ALERTS, DEPLOY
from tests.unit.docs.test_links import anchors

RUNBOOK: Final = (DEPLOY / "RUNBOOK.md").read_text()
_COMMAND: Final = re.compile(r"^callstitch (.+)$")
_METRIC: Final = re.compile(r"callstitch_[a-z_]+")


def commands_in(text: str) -> set[str]:
    """Whatever is written as code and begins with `callstitch `."""
    lines = [
        line
        for block in re.findall(r"^```text\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        for line in block.splitlines()
    ]
    spans = re.findall(r"`([^`\n]+)`", text)
    return {found[1] for one in [*lines, *spans] if (found := _COMMAND.match(one.strip()))}


def unknown_in(command: str) -> str | None:
    """The first word or option of it that the CLI does not have."""
    at = typer.main.get_command(app)
    for word in command.partition("   ")[0].split():
        commands = getattr(at, "commands", None)
        if commands is not None:
            if word not in commands:
                return word
            at = commands[word]
        elif word.startswith("--") and word not in {name for one in at.params for name in one.opts}:
            return word
    return None


def test_every_command_and_option_exists() -> None:
    found = commands_in(RUNBOOK)
    assert len(found) > 15
    assert [one for one in sorted(found) if unknown_in(one)] == []


@pytest.mark.parametrize("wrong", ["recocile", "dead relay GROUP", "purge --numbre N"])
def test_a_command_that_does_not_exist_is_noticed(wrong: str) -> None:
    assert unknown_in(wrong)


def test_every_metric_that_it_names_is_defined() -> None:
    known = {family.name for family in FAMILIES}
    assert set(_METRIC.findall(RUNBOOK)) - known == set()


def test_every_event_of_a_log_that_it_names_is_logged() -> None:
    code = "\n".join(path.read_text() for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
    named = set(re.findall(r"`([a-z]+\.[a-z_]+)`", RUNBOOK)) - {"before.json", "callstitch.tally", "recording.failed"}
    assert len(named) > 5
    assert [one for one in sorted(named) if f'"{one}"' not in code] == []


def test_every_alert_that_it_names_and_every_page_that_it_links_exists() -> None:
    alerts = set(re.findall(r"alert: (\w+)", ALERTS.read_text()))
    assert set(re.findall(r"\b(?:Callstitch|Rabbitmq)[A-Z]\w+", RUNBOOK)) - alerts == set()
    for target in re.findall(r"\]\(([^)#]+)\)", RUNBOOK):
        assert (DEPLOY / target).exists(), target
    assert {name.lower() for name in alerts} <= anchors(RUNBOOK)


def test_every_drill_is_a_test_that_there_is() -> None:
    drills = set(re.findall(r"`(tests/\S+\.py)`", RUNBOOK))
    assert drills
    assert [one for one in sorted(drills) if not (DEPLOY.parent / one).exists()] == []
