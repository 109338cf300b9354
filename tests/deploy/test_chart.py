"""What the chart promises of every pod, beside what Kubernetes itself demands of a field."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from runtime import drain
from runtime.telemetry.families import FAMILIES
from schemas.topology import STAGES, feed_queue, sink_queue
from tests.deploy import chart
from workers.config import Config
from workers.fetch_recording import AT_ONCE
from workers.outside.download import RECORDING_BYTES

SECRET_KEYS = re.compile(r"env:([A-Z_]+)")
MARGIN_SECONDS = 5.0  # of a kubelet on a busy node, between SIGTERM and SIGKILL


@pytest.fixture(params=chart.VALUES)
def objects(request: pytest.FixtureRequest) -> Any:
    return chart.rendered(request.param)


@pytest.fixture
def large() -> Any:
    return chart.rendered("values-large.yaml")


def container(pod: Any) -> Any:
    (one,) = pod["spec"]["containers"]
    return one


def test_there_is_a_deployment_for_every_stage_and_every_sink_with_the_queues_that_it_reads(large: Any) -> None:
    wanted = {
        f"fan-out-{sink}": (["work", "fan_out", "--sink", sink], [sink_queue(sink)]) for sink in ("crm", "risk")
    } | {row.name.replace("_", "-"): (["work", row.name], list(row.reads)) for row in STAGES.values() if row.reads}
    found = {
        name: (
            container(one["spec"]["template"])["args"],
            one["metadata"]["annotations"]["callstitch/queues"].split(","),
        )
        for name, one in chart.deployments(large).items()
        if name != "ingest"
    }
    assert found == wanted


def test_nobody_decides_unless_a_rule_wants_it() -> None:
    assert "decide" not in chart.deployments(chart.rendered())


def test_every_queue_is_watched_by_the_object_that_scales_its_reader(large: Any) -> None:
    for name, scaled in chart.of_kind(large, "ScaledObject").items():
        target = chart.of_kind(large, "Deployment")[scaled["spec"]["scaleTargetRef"]["name"]]
        rabbitmq = [one["metadata"] for one in scaled["spec"]["triggers"] if one["type"] == "rabbitmq"]
        assert target["metadata"]["name"] == name
        assert {one["queueName"] for one in rabbitmq} == set(
            target["metadata"]["annotations"]["callstitch/queues"].split(",")
        )
        assert "replicas" not in target["spec"], "helm and the autoscaler would both set it"
    assert len(chart.of_kind(large, "ScaledObject")) == len(chart.deployments(large)) - 1


FED = {
    "limited": "max_length=9", "old": "max_age=7d", "answered": "outcomes={answered}", "axb": "products={axb}",
    "masked": "fields.text=mask", "short": "drop={raw}", "binary": "content=binary",
}  # fmt: skip


def test_what_has_to_be_fed_is_fed_by_one_deployment_that_is_scaled_by_each_of_its_queues() -> None:
    queues = [f"config.queue[{n}].name={name},config.queue[{n}].{key}" for n, (name, key) in enumerate(FED.items())]
    plain = f"config.queue[{len(FED)}]"
    others = (f"{plain}.name=plain,{plain}.content=structured", "stages.feed.autoscaling.age=60")
    objects = chart.rendered("values-large.yaml", *queues, *others)
    feed = chart.deployments(objects)["feed"]
    fed = [feed_queue(name) for name in FED]
    assert (container(feed["spec"]["template"])["args"], feed["metadata"]["annotations"]["callstitch/queues"]) == (
        ["work", "feed"],
        ",".join(fed),
    )
    config = Config.model_validate(tomllib.loads(re.sub(SECRET_KEYS, "x" * 24, chart.config_text(objects))))
    assert [feed_queue(one.name) for one in config.queue if one.fed] == fed
    triggers = chart.of_kind(objects, "ScaledObject")["cs-callstitch-feed"]["spec"]["triggers"]
    assert [one["metadata"]["queueName"] for one in triggers if one["type"] == "rabbitmq"] == fed
    ages = [one["metadata"]["query"] for one in triggers if one["type"] == "prometheus"]
    assert [re.findall(r'(?:stage|queue)="([^"]+)"', age) for age in ages] == [
        [f"feed.{name}", feed_queue(name)] for name in FED
    ]


def test_what_is_in_hand_counts_and_is_not_taken_for_a_backlog(large: Any) -> None:
    """Over AMQP KEDA sees only what is ready; and a pod's own prefetch must not ask for a second pod."""
    for scaled in chart.of_kind(large, "ScaledObject").values():
        stage = "fan_out" if "fan-out" in scaled["metadata"]["name"] else chart.component(scaled).replace("-", "_")
        backlogs = [one["metadata"] for one in scaled["spec"]["triggers"] if one["name"].startswith("backlog")]
        for backlog in backlogs:
            assert (backlog["protocol"], backlog["excludeUnacknowledged"]) == ("http", "false")
            assert float(backlog["value"]) > STAGES[stage].prefetch


def test_what_has_deadlines_never_scales_to_nothing(large: Any) -> None:
    least = {
        chart.component(one): one["spec"]["minReplicaCount"] for one in chart.of_kind(large, "ScaledObject").values()
    }
    assert min(least.values()) >= 1  # others may, if somebody says so: test_chart_refusals.py


def test_the_grace_period_is_longer_than_the_drain(objects: Any) -> None:
    whole = drain.PROCESS + drain.CUT_OFF
    for name, pod in chart.pods(objects).items():
        lame = Config.model_validate(tomllib.loads(without_secrets(objects))).ingest.drain_delay.total_seconds()
        needed = whole + (lame if name == "ingest" else 0)
        assert pod["spec"]["terminationGracePeriodSeconds"] >= needed + MARGIN_SECONDS, name


def test_the_readiness_probe_sees_a_door_that_leaves_before_it_closes(objects: Any) -> None:
    probe = container(chart.pods(objects)["ingest"])["readinessProbe"]
    delay = Config.model_validate(tomllib.loads(without_secrets(objects))).ingest.drain_delay.total_seconds()
    assert delay > probe["periodSeconds"] * probe["failureThreshold"] + probe["timeoutSeconds"]


def test_every_role_is_asked_where_it_answers(objects: Any) -> None:
    listen = Config.model_validate(tomllib.loads(without_secrets(objects))).ingest
    for name, one in chart.deployments(objects).items():
        role = container(one["spec"]["template"])
        ports = {port["name"]: port["containerPort"] for port in role["ports"]}
        assert listen.admin == f"0.0.0.0:{ports['admin']}"
        assert ports.get("http") == (int(listen.listen.rpartition(":")[2]) if name == "ingest" else None)
        for probe, path in (("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
            assert role[probe]["httpGet"] == {"path": path, "port": "admin"}


def test_no_pod_may_more_than_it_needs(objects: Any) -> None:
    for pod in chart.pods(objects).values():
        spec, role = pod["spec"], container(pod)
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert role["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        assert not any("hostPath" in volume for volume in spec["volumes"])
        assert {"name": "tmp", "mountPath": "/tmp"} in role["volumeMounts"]  # noqa: S108 - an emptyDir of the pod
        assert role["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in role["resources"]["limits"]


def test_recordings_that_are_fetched_at_once_have_room(objects: Any) -> None:
    pod = chart.deployments(objects)["fetch-recording"]["spec"]["template"]
    (room,) = [one["emptyDir"]["sizeLimit"] for one in pod["spec"]["volumes"] if one["name"] == "tmp"]
    assert int(room.removesuffix("Gi")) * 2**30 > AT_ONCE * RECORDING_BYTES


def test_a_selector_takes_its_own_pods_and_no_others(objects: Any) -> None:
    pods = {name: one["spec"]["template"]["metadata"]["labels"] for name, one in chart.deployments(objects).items()}
    for name, one in chart.deployments(objects).items():
        assert taken(one["spec"]["selector"], pods) == {name}
    for kind in ("PodDisruptionBudget",):
        for one in chart.of_kind(objects, kind).values():
            assert taken(one["spec"]["selector"], pods) == {chart.component(one)}
    (service,) = chart.of_kind(objects, "Service").values()
    assert taken({"matchLabels": service["spec"]["selector"]}, pods) == {"ingest"}
    assert len(chart.of_kind(objects, "PodDisruptionBudget")) == len(pods)


def taken(selector: Any, pods: Any) -> set[str]:
    return {name for name, labels in pods.items() if selector["matchLabels"].items() <= labels.items()}


def test_no_secret_stands_in_clear(objects: Any) -> None:
    """Nothing is a Secret of the chart's, and every value that is one comes by reference."""
    assert chart.of_kind(objects, "Secret") == {}
    assert not re.search(r"://[^@/\"]*:[^@/\"]*@", chart.config_text(objects))
    for pod in chart.pods(objects).values():
        for one in container(pod)["env"]:
            assert one["name"] == "CALLSTITCH_CONFIG" or one.keys() == {"name", "valueFrom"}


def test_the_config_is_one_that_the_roles_read(objects: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRET_KEYS.findall(chart.config_text(objects)):
        monkeypatch.setenv(name, "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0")
    read = Config.model_validate(tomllib.loads(chart.config_text(objects)))
    assert not read.broker.embedded


def test_numbers_of_the_config_stay_whole() -> None:
    objects = chart.rendered(
        "values.yaml", "config.ingest.connections=20000", "config.ingest.connections_per_address=3"
    )
    read = Config.model_validate(tomllib.loads(chart.config_text(objects)))
    assert (read.ingest.connections, read.ingest.connections_per_address) == (20_000, 3)


def test_a_changed_config_starts_every_pod_anew_unless_they_read_it_again() -> None:
    one, other = chart.rendered(), chart.rendered("values.yaml", "config.ingest.connections=20000")
    sums = [{p["metadata"]["annotations"]["checksum/config"] for p in chart.pods(o).values()} for o in (one, other)]
    assert [len(found) for found in sums] == [1, 1]
    assert sums[0] != sums[1]
    kept = chart.rendered("values.yaml", "rollOnConfigChange=false")
    assert not any("checksum/config" in (p["metadata"]["annotations"] or {}) for p in chart.pods(kept).values())


def test_declare_runs_before_the_roles_with_all_it_needs(objects: Any) -> None:
    (job,) = chart.of_kind(objects, "Job").values()
    before = [one for one in objects if "helm.sh/hook" in (one["metadata"].get("annotations") or {})]
    weight = {one["kind"]: int(one["metadata"]["annotations"]["helm.sh/hook-weight"]) for one in before}
    pod = job["spec"]["template"]
    assert all(one["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade" for one in before)
    assert weight["ConfigMap"] < weight["Job"]
    assert container(pod)["args"] == ["declare"]
    mounted = {one["configMap"]["name"] for one in pod["spec"]["volumes"] if "configMap" in one}
    assert mounted == {one["metadata"]["name"] for one in before if one["kind"] == "ConfigMap"}
    assert pod["spec"]["serviceAccountName"] == "default", "the chart's own is not there yet"
    again = job["spec"]["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"]
    assert again == [2, 78], "a wrong config gets no better"


def test_two_versions_of_correlate_never_run_at_once(objects: Any) -> None:
    assert chart.deployments(objects)["correlate"]["spec"]["strategy"] == {"type": "Recreate"}


def test_one_stage_may_go_forward_before_the_others() -> None:
    images = {
        name: container(pod)["image"]
        for name, pod in chart.pods(chart.rendered("values.yaml", "stages.correlate.image.tag=9.9.9")).items()
    }
    assert images.pop("correlate").endswith(":9.9.9")
    assert len(set(images.values())) == 1


def without_secrets(objects: Any) -> str:
    """The config with something in place of each secret."""
    text = chart.config_text(objects)
    for name in set(SECRET_KEYS.findall(text)):
        text = text.replace(json.dumps(f"env:{name}"), '"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"')
    return text


def test_every_metric_that_scales_is_one_that_a_role_tells(large: Any) -> None:
    told = {one.name: one for one in FAMILIES}
    asked = [
        (name, re.findall(r'(\w+)(?:=")', labels))
        for scaled in chart.of_kind(large, "ScaledObject").values()
        for one in scaled["spec"]["triggers"]
        if one["type"] == "prometheus"
        for name, labels in re.findall(r"(callstitch_\w+)\{([^}]*)\}", one["metadata"]["query"])
    ]
    assert len({name for name, _ in asked}) == 4
    for name, labels in asked:
        assert set(labels) <= {*told[name].labels, "namespace"}, name


def test_the_alerts_are_those_of_the_repository() -> None:
    (rule,) = chart.of_kind(chart.rendered("values.yaml", "monitoring.rules.enabled=true"), "PrometheusRule").values()
    assert rule["spec"] == yaml.safe_load((chart.ROOT / "deploy/alerts.yaml").read_text())


def test_the_chart_in_a_package_has_the_alerts_too(tmp_path: Path) -> None:
    """They are a link to deploy/alerts.yaml in the repository."""
    assert chart.helm("package", str(chart.CHART), "--destination", str(tmp_path)).returncode == 0
    (package,) = tmp_path.glob("callstitch-*.tgz")
    done = chart.helm("template", "cs", str(package), "--set", "monitoring.rules.enabled=true")
    assert "CallstitchQueueUnattended" in done.stdout, done.stderr


def test_a_monitor_finds_the_metrics_of_every_role(large: Any) -> None:
    (monitor,) = chart.of_kind(large, "PodMonitor").values()
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    for one in chart.deployments(large).values():
        pod = one["spec"]["template"]
        assert monitor["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
        assert endpoint["port"] in {port["name"] for port in container(pod)["ports"]}
    named = {one["targetLabel"]: one for one in endpoint["relabelings"]}
    assert (named["job"]["replacement"], "role" in named) == ("callstitch", True), "the alerts ask for both"
