"""What the files of deploy/ ask of Prometheus: every expression of the alerts and of the dashboard."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from tests.services.prometheus import promtool

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
ALERTS: Final = DEPLOY / "alerts.yaml"
DASHBOARD: Final = DEPLOY / "grafana/callstitch.json"

_NAME: Final = re.compile(r"\b(?:callstitch|rabbitmq|process)_\w+|\bup\b")
_STRINGS: Final = re.compile(r'"[^"]*"')
_RANGE: Final = "5m"  # Grafana puts one in


def expressions_of_alerts() -> list[str]:
    """As Prometheus evaluates them."""
    return [rule["expr"] for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def panels() -> Iterator[dict[str, Any]]:
    """Those of the dashboard, rows too."""
    yield from json.loads(DASHBOARD.read_text())["panels"]


def expressions_of_dashboard() -> list[str]:
    """As Prometheus gets them from Grafana, for all sources."""
    asked = [target["expr"] for panel in panels() for target in panel.get("targets", [])]
    return [one.replace("$__rate_interval", _RANGE).replace("$source", ".*") for one in asked]


def metrics_in(expression: str) -> set[str]:
    """The names of metrics in it."""
    return set(_NAME.findall(_STRINGS.sub('""', expression)))


def parsed(expressions: Sequence[str], directory: Path) -> str | None:
    """None where Prometheus can parse all of them; else what it says."""
    rules = [{"record": f"tried:{number}", "expr": one} for number, one in enumerate(expressions)]
    file = directory / "expressions.yaml"
    file.write_text(json.dumps({"groups": [{"name": "tried", "rules": rules}]}))
    told = promtool("check", "rules", file)
    return None if told.returncode == 0 else told.stdout + told.stderr
