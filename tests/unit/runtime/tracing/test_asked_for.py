"""Traces are told only where OpenTelemetry's own variables ask for them; else its package is not even imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from runtime.tracing import asked_for
from tests.building.tree import ROOT

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
PROGRAM = """
import asyncio, json, sys
if "--without" in sys.argv:
    sys.modules["opentelemetry"] = None
import console.main
from runtime.tracing import open_tracing

async def main():
    async with open_tracing() as tracing:
        print(json.dumps([type(tracing).__name__, sum(name.startswith("opentelemetry") for name in sys.modules)]))

asyncio.run(main())
"""


def started(*arguments: str, environ: dict[str, str]) -> tuple[list[Any], str]:
    """What a process has for tracing, how many modules of OpenTelemetry, and its log."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=ROOT,
        env={**others, **environ},
        capture_output=True,
        text=True,
        check=True,
    )
    *logged, last = run.stdout.splitlines()
    return json.loads(last), "\n".join(logged) + run.stderr


@pytest.mark.parametrize(
    ("environ", "asked"),
    [
        ({}, False),
        (ENDPOINT, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "TRUE"}, False),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_TRACES_SAMPLER": "always_on"}, False),
    ],
)
def test_an_endpoint_asks_for_traces(environ: dict[str, str], *, asked: bool) -> None:
    assert asked_for(environ) is asked


def test_nothing_of_it_is_imported_where_nobody_asked() -> None:
    assert started(environ={}) == (["_NoTracing", 0], "")


def test_it_is_there_where_somebody_asked() -> None:
    (kind, modules), _ = started(environ=ENDPOINT)
    assert (kind, modules > 0) == ("OtlpTracing", True)


def test_without_the_extra_all_goes_on_and_says_so() -> None:
    (kind, _), log = started("--without", environ=ENDPOINT)
    assert kind == "_NoTracing"
    assert "traces.not_told" in log
    assert "callstitch[otel]" in log
