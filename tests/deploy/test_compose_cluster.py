"""deploy/compose.cluster.yaml: three nodes that find each other, and every role knows all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

from schemas.settings.addresses import each_host
from schemas.topology import STAGES

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
NODES: Final = ("rabbitmq", "rabbitmq2", "rabbitmq3")


def services() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.cluster.yaml").read_text())
    found: dict[str, Any] = read["services"]
    return found


def test_every_role_knows_all_nodes() -> None:
    for role in ("declare", "ingest", *STAGES):
        url = services()[role]["environment"]["CALLSTITCH_BROKER"]
        assert each_host(url) == [f"amqp://callstitch@{node}/callstitch" for node in NODES], role


def test_the_nodes_find_each_other_by_the_names_that_they_have() -> None:
    settings = dict(
        line.replace(" ", "").split("=")
        for line in (DEPLOY / "rabbitmq.cluster.conf").read_text().splitlines()
        if not line.startswith("#")
    )
    listed = [settings[f"cluster_formation.classic_config.nodes.{n}"] for n in (1, 2, 3)]
    assert listed == [f"rabbit@{node}" for node in NODES]
    for node in NODES:
        assert f"{node}:/var/lib/rabbitmq" in services()[node]["volumes"]
        assert any("rabbitmq.cluster.conf" in volume for volume in services()[node]["volumes"])
    assert {services()[node]["hostname"] for node in NODES[1:]} == set(NODES[1:])


def test_prometheus_asks_every_node_and_each_of_them_once() -> None:
    jobs = yaml.safe_load((DEPLOY / "prometheus.yaml").read_text())["scrape_configs"]
    file, _, place = services()["prometheus"]["volumes"][0].removesuffix(":ro").partition(":")
    more = yaml.safe_load((DEPLOY / file).read_text())
    for job in jobs[1:]:
        asked = [one for group in (*job["static_configs"], *more) for one in group["targets"]]
        assert asked == [f"{node}:15692" for node in NODES], job["job_name"]
        assert [Path(place).match(glob) for known in job["file_sd_configs"] for glob in known["files"]] == [True]


def test_queues_are_declared_once_all_nodes_are_there() -> None:
    assert set(services()["declare"]["depends_on"]) >= set(NODES[1:])
