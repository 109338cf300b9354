"""Traces: one from a push at the door to the ack of each sink, told to whoever takes OTLP; off unless asked for.

OpenTelemetry's own variables say where to and how many (docs/operating.md, Traces). Its package is an extra, imported
only where it is asked for: else it costs nothing.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final

import structlog

from runtime.tracing.base import Tracing
from runtime.tracing.off import NO_TRACING

log = structlog.get_logger()

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def asked_for(environ: Mapping[str, str]) -> bool:
    """Whether these variables name an endpoint for traces, and none of them turns them off."""
    off = environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER") == "none"
    return not off and any(environ.get(name) for name in ENDPOINTS)


_ASKED_FOR: Final = asked_for(os.environ)
_INSTALLED = False
if _ASKED_FOR:
    with suppress(ImportError):  # the extra `otel`
        from runtime.tracing.otlp import open_otlp

        _INSTALLED = True


@asynccontextmanager
async def open_tracing() -> AsyncIterator[Tracing]:
    """What tells the traces of this process until the context ends, as its environment wants it."""
    if _INSTALLED:
        with open_otlp() as tracing:
            yield tracing
        return
    if _ASKED_FOR:
        log.warning("traces.not_told", reason="the extra otel is not installed: pip install 'callstitch[otel]'")
    yield NO_TRACING
