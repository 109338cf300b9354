"""What the door and the stages tell of their work as spans, in the SDK's own memory."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, Sampler, TraceIdRatioBased

from runtime.tracing.otlp import OtlpTracing
from schemas.envelope import Envelope, Kind, new_trace
from schemas.errors import Permanent, Rejected, Transient
from schemas.stage import Failed
from tests.building.facts import T0

NUMBER = "13800000021"


class Told:
    """Tracing, and what it told."""

    def __init__(self, sampler: Sampler | None = None) -> None:
        self._memory = InMemorySpanExporter()
        provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._memory))
        self.tracing = OtlpTracing(provider.get_tracer("test"))

    def spans(self, name: str) -> Sequence[ReadableSpan]:
        return [span for span in self._memory.get_finished_spans() if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        (span,) = self.spans(name)
        return span

    @property
    def names(self) -> list[str]:
        return [span.name for span in self._memory.get_finished_spans()]


@pytest.fixture
def told() -> Told:
    return Told()


def an_envelope(n: int, trace: str, attempt: int = 1) -> Envelope:
    return Envelope(id=f"e{n}", kind=Kind.FACT, source="s", at=T0, body={"n": n}, trace=trace, attempt=attempt)


def traceparent(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-{span.context.trace_flags:02x}"


def linked(span: ReadableSpan) -> set[int]:
    return {link.context.span_id for link in span.links}


def span_id(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)


def test_a_push_is_the_root_of_its_trace_and_began_with_its_request(told: Told) -> None:
    before = time.time_ns()
    with told.tracing.accepting("huawei", time.perf_counter() - 0.5) as trace:
        pass
    span = told.one("POST /v1/{source}/{token}")
    assert (traceparent(span), span.parent) == (trace, None)
    assert span.attributes is not None
    assert span.attributes["http.response.status_code"] == 200
    assert span.start_time is not None
    assert before - 600_000_000 < span.start_time < before - 400_000_000


@pytest.mark.parametrize(("status", "fails"), [(401, False), (503, True)])
def test_a_refusal_is_told_with_its_status(told: Told, status: int, *, fails: bool) -> None:
    with pytest.raises(Rejected), told.tracing.accepting("huawei", time.perf_counter()):
        raise Rejected("not stored", status=status)
    span = told.one("POST /v1/{source}/{token}")
    assert span.attributes is not None
    assert (span.attributes["http.response.status_code"], span.status.is_ok) == (status, not fails)


def test_a_batch_has_a_span_for_each_trace_and_one_that_is_linked_with_all(told: Told) -> None:
    first, second = new_trace(), new_trace()
    work = [an_envelope(1, first), an_envelope(2, second, attempt=2), an_envelope(3, first)]
    with told.tracing.handling("dedupe", work) as batch:
        batch.handled(batch.work)
    mine = {traceparent(span): span for span in told.spans("dedupe")}
    assert len(mine) == 2
    assert [one.trace in mine for one in batch.work] == [True] * 3
    assert batch.work[0].trace == batch.work[2].trace != batch.work[1].trace
    about = mine[batch.work[0].trace].attributes, mine[batch.work[1].trace].attributes
    assert [(one["callstitch.id"], one["callstitch.envelopes"], one["callstitch.attempt"]) for one in about if one] == [
        ("e1", 2, 1),
        ("e2", 1, 2),
    ]
    for came, goes_on in zip((first, second), batch.work[:2], strict=True):
        span = mine[goes_on.trace]
        assert span.parent is not None
        assert (f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}") == tuple(came.split("-")[1:3])
    whole = told.one("dedupe batch")
    assert whole.parent is not None
    assert whole.parent.span_id == span_id(mine[batch.work[0].trace])
    assert linked(whole) == {span_id(span) for span in mine.values()}
    assert all(linked(span) == {span_id(whole)} for span in mine.values())


def test_the_next_stage_and_the_next_attempt_go_on_from_there(told: Told) -> None:
    with told.tracing.handling("correlate", [an_envelope(1, new_trace())]) as batch:
        (failed,) = batch.work
    with told.tracing.handling("correlate", [failed.retried()]) as again:
        again.handled(again.work)
    first, second = told.spans("correlate")
    assert second.parent is not None
    assert second.parent.span_id == span_id(first)


def test_whose_fault_it_was_is_told_and_no_number_with_it(told: Told) -> None:
    work = [an_envelope(1, new_trace()), an_envelope(2, new_trace())]
    with told.tracing.handling("fan_out.crm", work) as batch:
        batch.handled([Failed(batch.work[1], Transient(f"http_500 {NUMBER}")), batch.work[0]])
    healthy, failed = told.spans("fan_out.crm")
    assert (healthy.status.is_ok, failed.status.is_ok) == (True, False)
    assert failed.attributes is not None
    assert failed.attributes["error.type"] == "Transient"
    assert NUMBER not in f"{failed.to_json()}"


def test_what_is_not_sampled_is_left_alone(told: Told) -> None:
    work = [an_envelope(1, new_trace()[:-1] + "0"), an_envelope(2, "")]
    with told.tracing.handling("dedupe", work) as batch:
        batch.handled([Failed(batch.work[0], Permanent("never"))])
    with told.tracing.storing(work):
        pass
    assert (batch.work, told.names) == (work, [])


@pytest.mark.parametrize("sampler", [ParentBased(ALWAYS_OFF), TraceIdRatioBased(0.0)])
def test_the_sampler_decides_at_the_door_and_all_others_follow(sampler: Sampler) -> None:
    told = Told(sampler)
    with told.tracing.accepting("huawei", time.perf_counter()) as trace:
        pass
    with told.tracing.handling("dedupe", [an_envelope(1, trace)]):
        pass
    assert told.names == []


def test_an_event_that_a_deadline_brings_begins_a_trace(told: Told) -> None:
    known = new_trace()
    with told.tracing.telling("correlate", [an_envelope(1, ""), an_envelope(2, known), an_envelope(3, "")]) as events:
        pass
    spans = told.spans("correlate tick")
    assert [one.trace for one in events] == [traceparent(spans[0]), known, traceparent(spans[1])]
    assert len({span.context.trace_id for span in spans if span.context}) == 2


@pytest.mark.parametrize(
    "odd", ["1", "00-1-1-1", f"00-{'f' * 40}-{'1' * 16}-01", f"00-{'0' * 32}-{'0' * 16}-01", "x-y-1"]
)
def test_a_traceparent_that_is_none_begins_a_trace(told: Told, odd: str) -> None:
    """An event from elsewhere carries whatever its publisher wrote."""
    with told.tracing.handling("fan_out.crm", [an_envelope(1, odd)]) as batch:
        batch.handled([])
    assert batch.work[0].trace == traceparent(told.one("fan_out.crm"))


def test_what_the_door_stores_together_is_one_span_linked_with_each_push(told: Told) -> None:
    pushes = [an_envelope(n, new_trace()) for n in range(3)]
    with told.tracing.storing(iter(pushes)):
        pass
    assert linked(told.one("door publish")) == {int(one.trace.split("-")[2], 16) for one in pushes}
