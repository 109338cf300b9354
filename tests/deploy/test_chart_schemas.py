"""Without a cluster: what helm renders is what two Kubernetes versions, KEDA and the Prometheus operator take."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any, Final

import kubernetes_validate
import pytest
from jsonschema import Draft202012Validator

from tests.deploy import chart

# Made of the operators' CRDs by whoever keeps cloudcoil. Loaded by name: mypy would read megabytes of them.
MODELS: Final = {
    "keda.sh/v1alpha1": import_module("cloudcoil.models.keda.v1alpha1"),
    "monitoring.coreos.com/v1": import_module("cloudcoil.models.prometheus_operator.v1"),
}
OLDEST, NEWEST = "1.29", "1.37"
EVERYTHING: Final = (
    "networkPolicy.cilium.enabled=true",
    "monitoring.podMonitor.enabled=true,monitoring.rules.enabled=true",
    "keda.enabled=true",
    "keda.prometheus.serverAddress=http://prometheus:9090",
    "ingest.ingress.enabled=true,ingest.ingress.host=push.example.com",
    "secrets.files=callstitch-files",
)
OUR_OWN_CHECKS: Final = ("cilium.io/v2",)  # its CRD is a megabyte; test_chart_network.py looks at what matters


def objects(values: str) -> list[Any]:
    return [*chart.rendered(values), *chart.rendered(values, *EVERYTHING)]


@pytest.mark.parametrize("values", chart.VALUES)
def test_helm_lint_finds_nothing(values: str) -> None:
    done = chart.helm("lint", "--strict", str(chart.CHART), "-f", str(chart.CHART / values))
    assert done.returncode == 0, done.stdout
    assert "[WARNING]" not in done.stdout


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("values", chart.VALUES)
def test_kubernetes_takes_every_object_of_its_own(values: str, version: str) -> None:
    """Strict: a field that it does not know is an error, where a cluster would drop it."""
    known = [one for one in objects(values) if not custom(one)]
    assert len(known) > len(chart.deployments(known))
    for one in known:
        kubernetes_validate.validate(one, version, strict=True)


def test_a_field_that_kubernetes_does_not_know_is_noticed() -> None:
    wrong: Any = copy.deepcopy(chart.deployments(chart.rendered())["park"])
    wrong["spec"]["template"]["spec"]["terminationGracePeriod"] = 30
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, NEWEST, strict=True)


@pytest.mark.parametrize("values", chart.VALUES)
def test_the_operators_take_every_object_of_theirs(values: str) -> None:
    theirs = [one for one in objects(values) if custom(one) and one["apiVersion"] not in OUR_OWN_CHECKS]
    assert {"ScaledObject", "TriggerAuthentication", "PodMonitor", "PrometheusRule"} <= {one["kind"] for one in theirs}
    assert [fault for one in theirs for fault in faults(one)] == []


@pytest.mark.parametrize("path", [("spec", "cooldownperiod"), ("spec", "triggers", 0, "metadataa")])
def test_a_field_that_keda_does_not_know_is_noticed(path: tuple[Any, ...]) -> None:
    wrong: Any = copy.deepcopy(next(iter(chart.of_kind(objects("values-large.yaml"), "ScaledObject").values())))
    place = wrong
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = {}
    assert faults(wrong)


def test_a_trigger_without_a_type_is_noticed() -> None:
    wrong: Any = copy.deepcopy(next(iter(chart.of_kind(objects("values-large.yaml"), "ScaledObject").values())))
    del wrong["spec"]["triggers"][0]["type"]
    assert faults(wrong)


def custom(one: Mapping[str, Any]) -> bool:
    group = one["apiVersion"].partition("/")[0]
    return "." in group and not group.endswith(".k8s.io")


def faults(one: Mapping[str, Any]) -> list[str]:
    return [f"{one['kind']}: {fault.message}" for fault in validator(one["apiVersion"], one["kind"]).iter_errors(one)]


@cache
def validator(version: str, kind: str) -> Draft202012Validator:
    return Draft202012Validator(strict(getattr(MODELS[version], kind).model_json_schema()))


def strict(schema: Any) -> Any:
    """The schema in which a field that it does not know is an error; the API server would drop it."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: strict(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        found.setdefault("additionalProperties", False)
    return found
