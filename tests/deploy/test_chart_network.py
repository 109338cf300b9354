"""Who may talk to whom: all pods are closed both ways, and each rule that opens something names who and which port."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
import yaml

from schemas.platforms import DIALECTS
from schemas.platforms.aliyun import recordings
from schemas.platforms.huawei import privatenumber, voicecall
from tests.deploy import chart

BROKER, STORE, DNS = {5672, 5671}, {5432}, {53}


@pytest.fixture(params=chart.VALUES)
def objects(request: pytest.FixtureRequest) -> Any:
    return chart.rendered(request.param)


def rules(objects: Any, role: str, way: str) -> list[Any]:
    """The rules that count for a role: Kubernetes adds up the policies that select its pods."""
    labels = chart.deployments(objects)[role]["spec"]["template"]["metadata"]["labels"]
    return [
        rule
        for policy in chart.of_kind(objects, "NetworkPolicy").values()
        if policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
        for rule in policy["spec"].get(way, [])
    ]


def ports(found: list[Any]) -> set[int]:
    return {port["port"] for rule in found for port in rule["ports"]}


def test_every_pod_is_closed_both_ways(objects: Any) -> None:
    whole = chart.of_kind(objects, "NetworkPolicy")["cs-callstitch"]["spec"]
    assert whole["policyTypes"] == ["Ingress", "Egress"]
    for one in (*chart.deployments(objects).values(), *chart.of_kind(objects, "Job").values()):
        assert whole["podSelector"]["matchLabels"].items() <= one["spec"]["template"]["metadata"]["labels"].items()


def test_every_way_out_names_who_and_which_port(objects: Any) -> None:
    for policy in chart.of_kind(objects, "NetworkPolicy").values():
        for rule in policy["spec"].get("egress", []):
            assert rule["to"], "without `to` it would be every address"
            assert rule["ports"], "without `ports` it would be every port"


def test_a_stage_reaches_names_the_broker_and_the_store_and_nothing_else(objects: Any) -> None:
    for role in ("ingest", "dedupe", "correlate", "park"):
        assert ports(rules(objects, role, "egress")) == DNS | BROKER | STORE


def test_what_goes_out_reaches_public_addresses_alone(objects: Any) -> None:
    """By default: the platforms' recording servers and webhooks change their addresses."""
    for rule in rules(objects, "fetch-recording", "egress"):
        for peer in rule["to"]:
            if block := peer.get("ipBlock"):
                closed = [ipaddress.ip_network(one) for one in block["except"]]
                for inside in ("10.1.2.3", "172.20.0.1", "192.168.1.1", "169.254.169.254", "100.64.1.1", "127.0.0.1"):
                    assert any(ipaddress.ip_address(inside) in one for one in closed), inside


def test_a_sink_has_a_way_out_of_its_own() -> None:
    objects = chart.rendered("values-large.yaml")
    outside = {
        role: ports(rules(objects, f"fan-out-{role}", "egress")) - DNS - BROKER - STORE for role in ("crm", "risk")
    }
    assert outside == {"crm": {443}, "risk": {8443}}


def test_the_door_is_open_to_whom_the_values_name_and_metrics_to_monitoring() -> None:
    objects = chart.rendered("values-large.yaml")
    assert ports(rules(objects, "dedupe", "ingress")) == {8081}
    door = {rule["ports"][0]["port"]: rule["from"] for rule in rules(objects, "ingest", "ingress")}
    assert door.keys() == {8080, 8081}
    assert [peer["namespaceSelector"]["matchLabels"] for peer in door[8080]] == [
        {"kubernetes.io/metadata.name": "ingress-nginx"}
    ]


def test_with_cilium_names_take_the_place_of_addresses() -> None:
    objects = chart.rendered("values-large.yaml", "networkPolicy.cilium.enabled=true")
    assert ports(rules(objects, "fetch-recording", "egress")) == DNS | BROKER | STORE | {443}  # the bucket's own
    names = {
        chart.component(one): [
            name for rule in one["spec"]["egress"] for host in rule.get("toFQDNs", []) for name in host.values()
        ]
        for one in chart.of_kind(objects, "CiliumNetworkPolicy").values()
    }
    assert names["fan-out-crm"] == ["crm.example.com"]
    assert "fan-out-risk" not in names, "it has an address of its own"
    assert {"*.myhuaweicloud.com", "*.*.myhuaweicloud.com", "*.aliyuncs.com"} <= set(names["fetch-recording"])


def test_more_may_be_opened_to_everybody() -> None:
    """A collector of traces, say."""
    peer = "networkPolicy.everybody[0].to[0].ipBlock.cidr=192.0.2.7/32"
    objects = chart.rendered("values.yaml", peer, "networkPolicy.everybody[0].ports[0]=4318")
    assert ports(rules(objects, "dedupe", "egress")) == DNS | BROKER | STORE | {4318}


def test_a_source_without_hosts_of_its_own_reaches_those_of_its_platform() -> None:
    known = yaml.safe_load((chart.CHART / "files/platforms.yaml").read_text())
    apis = {
        "huawei_privatenumber": privatenumber.DEFAULT_API,
        "huawei_voicecall": voicecall.DEFAULT_API,
        "aliyun_pnp": recordings.DEFAULT_API,
        "jiuyun_axb": "",
    }
    assert known == {
        name: {"recording_api": apis[name], "recording_hosts": list(dialect.audio_hosts)}
        for name, dialect in DIALECTS.items()
    }
    objects = chart.rendered(
        "values-large.yaml", "networkPolicy.cilium.enabled=true", "config.source[0].recording_hosts=null"
    )
    (policy,) = [
        one for one in chart.of_kind(objects, "CiliumNetworkPolicy").values() if "fetch" in chart.component(one)
    ]
    names = {name for rule in policy["spec"]["egress"] for host in rule.get("toFQDNs", []) for name in host.values()}
    assert {"rtcpns.cn-north-1.myhuaweicloud.com", "dyplsapi.aliyuncs.com"} <= names, "their own API"
    assert {"ostor.huawei.com", "*.huaweicaas.com", "*.aliyuncs.com"} <= names
