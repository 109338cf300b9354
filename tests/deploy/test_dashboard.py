"""deploy/grafana/callstitch.json: what Grafana needs to load it, and rows for every question that an operator has."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.deploy.watching import DASHBOARD, DEPLOY, expressions_of_dashboard, panels, parsed

PROVISIONING: Final = DEPLOY / "grafana/provisioning"
BOARD: Final = json.loads(DASHBOARD.read_text())
ROWS: Final = [
    "Up, losing, late",
    "Flow by stage",
    "Duplicates",
    "Completeness",
    "Latency",
    "Recordings by state",
    "Sinks",
    "Ledger",
    "Broker and store",
]


def test_it_has_a_row_for_every_question() -> None:
    assert [panel["title"] for panel in panels() if panel["type"] == "row"] == ROWS


def test_it_is_of_a_schema_that_grafana_still_reads_without_a_migration_of_panels() -> None:
    assert BOARD["schemaVersion"] >= 36, "before that a datasource was named by a string"
    assert {panel["type"] for panel in panels()} <= {"row", "stat", "timeseries"}
    assert "id" not in BOARD, "an id is one installation's own"
    assert BOARD["uid"] == "callstitch"


def test_its_datasource_is_a_variable_everywhere() -> None:
    variables = {one["name"]: one for one in BOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    asked = [panel for panel in panels() if panel["type"] != "row"]
    found = [one["datasource"] for one in [*asked, *targets(), variables["source"]]]
    assert all(one == {"type": "prometheus", "uid": "${datasource}"} for one in found)
    assert len(found) > 100


def test_no_two_panels_share_an_id_or_a_place() -> None:
    ids = [panel["id"] for panel in panels()]
    assert len(set(ids)) == len(ids)
    for one, other in combinations([panel["gridPos"] for panel in panels()], 2):
        assert not overlap(one, other), (one, other)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels())


@pytest.mark.parametrize("moved", [{"x": 3}, {"y": 7}])
def test_panels_that_overlap_are_noticed(moved: dict[str, int]) -> None:
    place = {"x": 0, "y": 0, "w": 8, "h": 8}
    assert overlap(place, {**place, **moved})
    assert not overlap(place, {**place, "x": 8})


def test_every_query_can_be_parsed(tmp_path: Path, prometheus_package: Path) -> None:
    assert prometheus_package.exists()
    assert parsed(expressions_of_dashboard(), tmp_path) is None


def test_every_query_has_a_legend_and_a_letter() -> None:
    for panel in panels():
        letters = [target["refId"] for target in panel.get("targets", [])]
        assert len(set(letters)) == len(letters)
        assert panel["type"] != "timeseries" or all(target["legendFormat"] for target in panel["targets"])


def test_grafana_is_given_the_datasource_and_the_folder() -> None:
    (source,) = yaml.safe_load((PROVISIONING / "datasources/prometheus.yaml").read_text())["datasources"]
    assert (source["type"], source["isDefault"]) == ("prometheus", True)
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards/callstitch.yaml").read_text())["providers"]
    assert provider["type"] == "file"


def targets() -> list[dict[str, Any]]:
    return [target for panel in panels() for target in panel.get("targets", [])]


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
    above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
    return not (beside or above)
