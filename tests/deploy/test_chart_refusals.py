"""What cannot run is refused while it is rendered, with the reason and the way out."""

from __future__ import annotations

import pytest

from tests.deploy import chart

SOURCE = "config.source[0].name=a,config.source[0].platform=jiuyun_axb,config.source[0].tokens[0]"
FILE_SINK = (
    "config.sink[0].name=file,config.sink[0].kind=jsonl,config.sink[0].path=/var/lib/callstitch/file/calls.jsonl"
)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ("config.store=sqlite:/var/state", "config.store must be postgresql://: on sqlite dedupe, correlate and park"),
        ("config.store=", "the store is missing"),
        ("config.broker=embedded:broker.db", "config.broker must be amqp"),
        ("config.broker=amqp://user:word@rabbitmq/v", "config.broker holds a password"),
        ("config.store=postgresql://user:word@host/db", "config.store holds a password"),
        ("config.objects=file:/data", "config.objects must be s3://"),
        (f"{SOURCE}=12345678", "config.source.tokens holds a secret in clear"),
        ("config.sink[0].name=a,config.sink[0].kind=webhook,config.sink[0].secret=whsec_x", "config.sink.secret holds"),
        (FILE_SINK, "sink file writes a file: set stages.fan_out.sinks.file.existingClaim"),
        ("config.sink[0].name=-a,config.sink[0].kind=webhook", "sink -a: Kubernetes wants a name"),
        ("stages.fan_out.sinks.crm.replicas=2", "the config has no sink of that name"),
        ("config.rule[0].source=a,config.rule[0].action=close", "stages.decide.enabled=true"),
        ("stages.correlate.autoscaling.minReplicas=0", "it has deadlines to keep"),
        ("ingest.drainDelaySeconds=6", "ingest.drainDelaySeconds must be longer"),
        ("networkPolicy.broker.to=", "networkPolicy"),
        (
            "fullnameOverride=a-name-of-forty-letters-and-not-one-less,config.sink[0].name=a-sink-of-a-name,config.sink[0].kind=webhook",
            "too long",
        ),
        ("keda.enable=true", "Additional property enable is not allowed"),
        ("drain.seconds=10", "drain"),
        ("keda.rabbitmq.host=http://user:word@rabbitmq:15672", "keda.rabbitmq.host"),
    ],
)
def test_refused(settings: str, why: str) -> None:
    assert why in chart.refused(settings)


def test_a_sink_with_a_volume_is_one_pod_that_ends_before_the_next_begins() -> None:
    settings = (FILE_SINK, "stages.fan_out.sinks.file.existingClaim=calls", "keda.enabled=true")
    objects = chart.rendered("values.yaml", *settings)
    one = chart.deployments(objects)["fan-out-file"]["spec"]
    assert (one["replicas"], one["strategy"]) == (1, {"type": "Recreate"})
    assert not any(name.endswith("fan-out-file") for name in chart.of_kind(objects, "ScaledObject"))
    assert {"name": "sink", "persistentVolumeClaim": {"claimName": "calls"}} in one["template"]["spec"]["volumes"]


def test_a_directory_of_recordings_belongs_to_one_pod() -> None:
    settings = (
        "config.objects=file:/var/lib/callstitch/recordings",
        "recordings.existingClaim=audio",
        "keda.enabled=true",
    )
    objects = chart.rendered("values.yaml", *settings)
    one = chart.deployments(objects)["fetch-recording"]["spec"]
    assert (one["replicas"], one["strategy"]) == (1, {"type": "Recreate"})
    assert not any(name.endswith("fetch-recording") for name in chart.of_kind(objects, "ScaledObject"))
