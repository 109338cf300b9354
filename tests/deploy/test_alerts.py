"""deploy/alerts.yaml: promtool takes it, every alert fires on what it is for and on nothing near it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from schemas.topology import STAGES
from tests.deploy.alert_cases import CASES, Case, Series
from tests.deploy.watching import ALERTS, DEPLOY, expressions_of_alerts, parsed
from tests.services.prometheus import promtool

RULES: Final = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


@pytest.fixture(autouse=True)
def _needs_prometheus(prometheus_package: Path) -> None:
    """Promtool comes with the package."""


def test_promtool_takes_the_config_and_the_rules() -> None:
    checked = promtool("check", "config", DEPLOY / "prometheus.yaml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(RULES)} rules found" in checked.stdout


def test_prometheus_scrapes_the_door_and_every_stage_by_its_name() -> None:
    ours = yaml.safe_load((DEPLOY / "prometheus.yaml").read_text())["scrape_configs"][0]
    assert sorted(ours["dns_sd_configs"][0]["names"]) == sorted(["ingest", *STAGES])


def test_every_alert_waits_says_how_bad_it_is_and_where_to_read() -> None:
    for rule in RULES:
        name = rule["alert"]
        assert re.fullmatch(r"\d+[mh]", rule["for"]), name
        assert rule["labels"] in ({"severity": "critical"}, {"severity": "warning"}), name
        assert rule["annotations"]["runbook_url"] == f"RUNBOOK.md#{name.lower()}"
        assert rule["annotations"].keys() == {"summary", "runbook_url"}
    assert len({rule["alert"] for rule in RULES}) == len(RULES)


def test_every_alert_has_a_chapter_in_the_runbook_and_none_is_left_over() -> None:
    chapters = re.findall(r"^### ((?:Callstitch|Rabbitmq)\w+)$", (DEPLOY / "RUNBOOK.md").read_text(), re.MULTILINE)
    assert chapters == [rule["alert"] for rule in RULES], "in the order of alerts.yaml"


def test_every_alert_is_tried() -> None:
    assert sorted(CASES) == sorted(rule["alert"] for rule in RULES)


def test_every_alert_fires_on_what_it_is_for_and_on_nothing_near_it(tmp_path: Path) -> None:
    for step in {case.step for case in CASES.values()}:
        chosen = {name: case for name, case in CASES.items() if case.step == step}
        tests = [tried(name, case.fires, case, fires=True) for name, case in chosen.items()]
        tests += [tried(name, case.quiet, case, fires=False) for name, case in chosen.items()]
        failed = run_rules(tmp_path, tests, step=step)
        assert failed is None, failed


def test_whoever_answered_questions_and_is_gone_is_missed(tmp_path: Path) -> None:
    queue = 'callstitch_queue_consumers{queue="callstitch.decisions.v1"}'
    gone, back = Case(fires={queue: "2x20 0x40"}, quiet={}), Case(fires={queue: "2x20 0x3 1x40"}, quiet={})
    failed = run_rules(
        tmp_path,
        [
            tried("CallstitchNoConsumer", gone.fires, gone, fires=True),
            tried("CallstitchNoConsumer", back.fires, back, fires=False),
        ],
    )
    assert failed is None, failed


def test_an_alert_that_does_not_fire_and_one_that_fires_too_early_are_noticed(tmp_path: Path) -> None:
    late = CASES["CallstitchLate"]
    for tests in ([tried("CallstitchLate", late.quiet, late, fires=True)],
                  [tried("CallstitchLate", late.fires, late, fires=False)]):  # fmt: skip
        assert run_rules(tmp_path, tests) is not None


def test_the_words_of_an_alert_hold_what_it_is_about(tmp_path: Path) -> None:
    """Its labels and its value, as somebody at night reads them."""
    series = {'callstitch_oldest_age_seconds{stage="fan_out.crm"}': "90x40"}
    said = {
        "exp_labels": {"severity": "warning", "stage": "fan_out.crm"},
        "exp_annotations": {
            "summary": "fan_out.crm works on what the door took 1m 30s ago",
            "runbook_url": "RUNBOOK.md#callstitchlate",
        },
    }
    test = {
        **of(series),
        "alert_rule_test": [{"eval_time": "10m", "alertname": "CallstitchLate", "exp_alerts": [said]}],
    }
    failed = run_rules(tmp_path, [test])
    assert failed is None, failed


def test_promql_that_no_one_can_parse_is_noticed(tmp_path: Path) -> None:
    assert parsed(expressions_of_alerts(), tmp_path) is None
    assert parsed(["sum by (stage) (rate(callstitch_dead_total[5m])"], tmp_path) is not None


def of(series: Series, step: int = 1) -> dict[str, Any]:
    values = [{"series": name, "values": values} for name, values in series.items()]
    return {"interval": f"{step}m", "input_series": values}


def tried(name: str, series: Series, case: Case, *, fires: bool) -> dict[str, Any]:
    asked = {
        "expr": f'count by (alertname) (ALERTS{{alertname="{name}", alertstate="firing"}}) >= bool 1',
        "eval_time": f"{case.at}m",
        "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1}] if fires else [],
    }
    return {**of(series, case.step), "name": f"{name} {'fires' if fires else 'is quiet'}", "promql_expr_test": [asked]}


def run_rules(directory: Path, tests: list[dict[str, Any]], step: int = 1) -> str | None:
    """What promtool says that is wrong; None when all is as expected."""
    file = directory / "tests.yaml"
    file.write_text(json.dumps({"rule_files": [str(ALERTS)], "evaluation_interval": f"{step}m", "tests": tests}))
    told = promtool("test", "rules", file)
    return None if told.returncode == 0 else (told.stdout + told.stderr)[-6000:]
