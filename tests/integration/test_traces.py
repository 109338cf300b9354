"""What OpenTelemetry's variables say is done, and a collector that is away holds nobody up."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

import pytest

from runtime.tracing.otlp import open_otlp
from tests.services import ports
from tests.services.collector import Collector, running_collector


def push(monkeypatch: pytest.MonkeyPatch, **environ: str) -> None:
    """One push of a process with these variables, to its end."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with open_otlp() as tracing, tracing.accepting("huawei", time.perf_counter()):
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    with running_collector() as collector:
        yield collector


def test_the_last_spans_leave_before_the_process_ends(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    push(monkeypatch, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_EXPORTER_OTLP_COMPRESSION="gzip")
    (span,) = collector.spans
    assert span.resource["service.name"] == "callstitch"
    assert span.resource["service.instance.id"]


def test_the_operators_names_are_told(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"OTEL_SERVICE_NAME": "calls-bj", "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test"}
    push(monkeypatch, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **names)
    (span,) = collector.spans
    assert (span.resource["service.name"], span.resource["deployment.environment.name"]) == ("calls-bj", "test")


def test_the_operators_sampler_decides(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    push(monkeypatch, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_TRACES_SAMPLER="always_off")
    assert collector.spans == []


def test_a_collector_that_is_away_costs_the_end_a_moment_at_most(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.CRITICAL, logger="opentelemetry"):
        push(monkeypatch, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{ports.free_port()}")
