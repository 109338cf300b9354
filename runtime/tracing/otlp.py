"""Traces over OTLP/HTTP by OpenTelemetry's own package: only here is it imported.

A push is a span at the door. Of each trace that a batch holds, the stage makes one span, whose parent is the span it
came from; so a trace reads from the door to the sinks, and an attempt follows from the one before. The batch itself is
a span below the first of these and is linked with all of them, both ways. What is not sampled costs one look.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from threading import Thread
from typing import Final
from uuid import uuid4

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    set_span_in_context,
)

from runtime import drain
from runtime.verdict import reason_of
from schemas.envelope import Envelope
from schemas.errors import Rejected
from schemas.masking import masked
from schemas.stage import Failed

NAME: Final = "callstitch"
ROUTE: Final = "/v1/{source}/{token}"
_ODD: Final = frozenset("13579bdf")  # the last figure of the flags of a trace that is sampled
_NONE: Final = Context()


@contextmanager
def open_otlp() -> Iterator[OtlpTracing]:
    """What tells traces as OTEL_... variables want it; at the end the last spans have a moment to leave."""
    provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    try:
        yield OtlpTracing(provider.get_tracer(NAME, version(NAME)))
    finally:
        leaving = Thread(target=provider.shutdown, daemon=True)  # it would wait half a minute for a collector
        leaving.start()
        leaving.join(drain.SPANS)


def _resource() -> Resource:
    ours = {"service.name": NAME, "service.version": version(NAME), "service.instance.id": str(uuid4())}
    return Resource(ours).merge(OTELResourceDetector().detect())


class OtlpTracing:
    """See `runtime.tracing.base.Tracing`."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    @contextmanager
    def accepting(self, source: str, started: float) -> Iterator[str]:
        """The span of a push: the root of its trace, and there the sampler decides."""
        span = self._tracer.start_span(
            f"POST {ROUTE}",
            _NONE,
            SpanKind.SERVER,
            {"http.request.method": "POST", "http.route": ROUTE, "callstitch.source": source},
            start_time=time.time_ns() - int((time.perf_counter() - started) * 1e9),
        )
        try:
            yield _traceparent(span.get_span_context())
        except Rejected as error:
            span.set_attribute("http.response.status_code", error.status)
            if error.status >= 500:  # noqa: PLR2004 - whatever is below is the sender's
                span.set_status(Status(StatusCode.ERROR, masked(str(error))))
            raise
        else:
            span.set_attribute("http.response.status_code", 200)
        finally:
            span.end()

    @contextmanager
    def storing(self, envelopes: Iterable[Envelope]) -> Iterator[None]:
        """The span of a publish of the door."""
        traces = {one.trace: one for one in envelopes if _sampled(one.trace)}
        if not traces:
            yield
            return
        contexts = [_context(trace) for trace in traces]
        with self._together("door publish", contexts, SpanKind.PRODUCER):
            yield

    @contextmanager
    def handling(self, stage: str, work: Sequence[Envelope]) -> Iterator[_Batch]:
        """A span of the stage for each trace, and one of the batch."""
        held = Counter(one.trace for one in work if _sampled(one.trace))
        if not held:
            yield _Batch(work)
            return
        first: dict[str, Envelope] = {}
        for one in work:
            if one.trace in held:
                first.setdefault(one.trace, one)
        now = time.time_ns()
        spans = {
            trace: self._tracer.start_span(
                stage,
                _below(_context(trace)),
                SpanKind.CONSUMER,
                {**_about(one), "callstitch.envelopes": held[trace], "callstitch.attempt": one.attempt},
                start_time=now,
            )
            for trace, one in first.items()
        }
        try:
            with self._together(f"{stage} batch", [span.get_span_context() for span in spans.values()]) as whole:
                whole.set_attribute("callstitch.envelopes", len(work))
                for span in spans.values():
                    span.add_link(whole.get_span_context())
                yield _SpannedBatch(_continued(work, spans), whole, list(spans.values()))
        finally:
            for span in spans.values():
                span.end()

    @contextmanager
    def telling(self, stage: str, envelopes: Sequence[Envelope]) -> Iterator[Sequence[Envelope]]:
        """A trace for each that is in none, such as an event that a deadline brings."""
        begun: list[Span] = []

        def begin(one: Envelope) -> Envelope:
            span = self._tracer.start_span(f"{stage} tick", _NONE, SpanKind.PRODUCER, _about(one))
            begun.append(span)
            return replace(one, trace=_traceparent(span.get_span_context()))

        try:
            yield [one if one.trace else begin(one) for one in envelopes]
        finally:
            for span in begun:
                span.end()

    @contextmanager
    def _together(
        self, name: str, members: Sequence[SpanContext], kind: SpanKind = SpanKind.INTERNAL
    ) -> Iterator[Span]:
        """One span for many traces: in the first of them, so that it is sampled as they are, and linked to all."""
        links = [Link(member) for member in members]
        span = self._tracer.start_span(name, _below(members[0]), kind, links=links)
        try:
            yield span
        finally:
            span.end()


class _Batch:
    """A batch of which nothing is sampled."""

    def __init__(self, work: Sequence[Envelope]) -> None:
        self.work = work

    def handled(self, outcome: Sequence[Envelope | Failed]) -> None:
        """Nothing to tell."""


class _SpannedBatch(_Batch):
    """A batch with spans."""

    def __init__(self, work: Sequence[Envelope], whole: Span, members: Sequence[Span]) -> None:
        super().__init__(work)
        self._whole = whole
        self._members = {_traceparent(member.get_span_context()): member for member in members}

    def handled(self, outcome: Sequence[Envelope | Failed]) -> None:
        """What came out of it, and whose fault it was."""
        for kind, number in Counter(one.kind for one in outcome if isinstance(one, Envelope)).items():
            self._whole.set_attribute(f"callstitch.outputs.{kind}", number)
        failed = [one for one in outcome if isinstance(one, Failed)]
        self._whole.add_event("handled", {"callstitch.failed": len(failed)})
        for one in failed:
            if (span := self._members.get(one.envelope.trace)) is not None:
                span.set_attribute("error.type", type(one.error).__name__)
                span.set_status(Status(StatusCode.ERROR, masked(reason_of(one.error))))


def _continued(work: Sequence[Envelope], spans: dict[str, Span]) -> list[Envelope]:
    after = {trace: _traceparent(span.get_span_context()) for trace, span in spans.items()}
    return [replace(one, trace=after[one.trace]) if one.trace in after else one for one in work]


def _about(envelope: Envelope) -> dict[str, str]:
    return {"callstitch.source": envelope.source, "callstitch.kind": envelope.kind, "callstitch.id": envelope.id}


def _sampled(trace: str) -> bool:
    return trace[-1:] in _ODD


def _below(parent: SpanContext) -> Context:
    return set_span_in_context(NonRecordingSpan(parent), _NONE)


def _traceparent(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _context(trace: str) -> SpanContext:
    """Of a traceparent; one that cannot be read, as an event from elsewhere may have, begins a trace of its own."""
    try:
        _, trace_id, span_id, flags = trace.split("-")
        return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
    except ValueError:
        return SpanContext(0, 0, is_remote=True)
