"""A collector of traces: takes OTLP over HTTP as protobuf, gzipped or not, and remembers the spans."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Thread
from typing import Any, Final

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Proto
from opentelemetry.proto.trace.v1.trace_pb2 import Status

START_SECONDS: Final = 10.0


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A span as it was told."""

    name: str
    trace: str
    id: str
    parent: str
    links: Sequence[tuple[str, str]]  # trace and span
    about: dict[str, Any]
    resource: dict[str, Any]
    kind: str
    failed: str | None
    began: int
    ended: int


@dataclass
class Collector:
    """What came, in the order of coming; `raw` is every byte of it."""

    url: str = ""  # without a path
    spans: list[Seen] = field(default_factory=list)
    raw: bytes = b""

    @property
    def environ(self) -> dict[str, str]:
        """What a process needs to tell everything here, at once."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}

    def of(self, trace: str) -> list[Seen]:
        """The spans of one trace, by their beginning."""
        return sorted((span for span in self.spans if span.trace == trace), key=lambda span: span.began)

    def named(self, name: str) -> list[Seen]:
        """Those of that name."""
        return [span for span in self.spans if span.name == name]

    async def take(self, request: web.Request) -> web.Response:
        """The endpoint of traces."""
        body = await request.read()
        assert request.content_type == "application/x-protobuf"
        if body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        self.raw += body
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = _plain(group.resource.attributes)
            self.spans += [_seen(span, resource) for scope in group.scope_spans for span in scope.spans]
        answer = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=answer, content_type="application/x-protobuf")


@contextmanager
def running_collector() -> Iterator[Collector]:
    """One that listens until the context ends."""
    collector = Collector()
    with serving_beside("/v1/traces", collector.take) as collector.url:
        yield collector


@contextmanager
def serving_beside(path: str, answer: Callable[[web.Request], Awaitable[web.Response]]) -> Iterator[str]:
    """The base URL of an HTTP server that runs beside a test which does not wait."""
    app, loop = web.Application(), asyncio.new_event_loop()
    app.router.add_post(path, answer)
    runner = web.AppRunner(app, access_log=None)

    async def listen() -> str:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    beside = Thread(target=loop.run_forever, daemon=True)
    beside.start()
    try:
        yield asyncio.run_coroutine_threadsafe(listen(), loop).result(START_SECONDS)
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(START_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        beside.join()
        loop.close()


def _seen(span: Proto, resource: dict[str, Any]) -> Seen:
    return Seen(
        name=span.name,
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        links=[(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
        about=_plain(span.attributes),
        resource=resource,
        kind=Proto.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        failed=span.status.message if span.status.code == Status.STATUS_CODE_ERROR else None,
        began=span.start_time_unix_nano,
        ended=span.end_time_unix_nano,
    )


def _plain(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}
