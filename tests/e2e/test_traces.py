"""One trace from a push to the ack of its sinks, told to a real collector: in one process, and role by role."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest
from aiohttp import web

from tests.e2e.roles import running_roles
from tests.e2e.running import Up, running_up, sample
from tests.services.collector import Collector, Seen, running_collector, serving_beside

PUSH: Final = "POST /v1/{source}/{token}"
WAY: Final = [PUSH, "dedupe", "correlate", "fan_out.hook"]
WORKERS: Final = {
    "dedupe": ("dedupe",),
    "correlate": ("correlate",),
    "fan_out.file": ("fan_out", "--sink", "file"),
    "fan_out.hook": ("fan_out", "--sink", "hook"),
}
SESSION: Final = b"1200_1827_4294967295_20190124023003@callenabler246.huaweicaas.com"
SECRET: Final = "whsec_" + base64.b64encode(b"a key of thirty-two bytes length").decode()
IN_NO_SPAN: Final = (b"13800000021", b"13866887021", b"1200_1827", b"ostor.example.com", b"12050118304.wav")


@pytest.fixture
def collector() -> Iterator[Collector]:
    with running_collector() as collector:
        yield collector


@pytest.fixture
def hook() -> Iterator[str]:
    """The sink `hook`: a webhook that takes everything."""

    async def take(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=204)

    with serving_beside("/calls", take) as url:
        yield (
            f'[[sink]]\nname = "hook"\nkind = "webhook"\nurl = "{url}/calls"\nsecret = "{SECRET}"\n'
            'allow_private = true\nevents = ["call.completed"]\n'
        )


def push(up: Up, calls: int) -> None:
    """The CDR of so many calls, which is all that is expected of each."""
    for call in range(calls):
        body = sample("ax-fee.json").replace(SESSION, b"%d_%b" % (call, SESSION))
        assert up.post(body, "/fee") == 200


def traces(up: Up, collector: Collector, calls: int) -> list[list[Seen]]:
    """The spans that lead from each push to the ack of the webhook, in order, once all are there."""
    up.wait_for(lambda: all(len(collector.named(name)) == calls for name in WAY))
    return [the_way(collector, ack) for ack in collector.named("fan_out.hook")]


def the_way(collector: Collector, last: Seen) -> list[Seen]:
    """Up from a span to the root of its trace."""
    by_id = {span.id: span for span in collector.of(last.trace)}
    way = [last]
    while way[0].parent:
        way.insert(0, by_id[way[0].parent])
    return way


def assert_batches_are_linked(collector: Collector) -> None:
    """Each batch with what it held, and what it held with it."""
    members = {(span.trace, span.id): span for span in collector.spans}
    batches = [span for span in collector.spans if span.name.endswith(" batch")]
    assert {batch.name for batch in batches} >= {"dedupe batch", "correlate batch", "fan_out.hook batch"}
    for batch in batches:
        assert batch.links
        for link in batch.links:
            assert members[link].links == [(batch.trace, batch.id)]


def test_up_tells_one_trace_from_the_push_to_the_ack_of_the_sink(
    tmp_path: Path, collector: Collector, hook: str
) -> None:
    with running_up(tmp_path, extra=hook, environ=collector.environ, call_events=False) as up:
        push(up, 2)
        for way in traces(up, collector, 2):
            assert [span.name for span in way] == WAY
            assert [span.kind for span in way] == ["SERVER", "CONSUMER", "CONSUMER", "CONSUMER"]
            assert all(one.began <= after.began for one, after in pairwise(way))
            assert all(span.failed is None for span in way)
            assert way[0].about["http.response.status_code"] == 200
            assert {span.about["callstitch.source"] for span in way} == {"huawei"}
        up.wait_for(lambda: collector.named("fetch_recording"))  # in vain: nobody serves it
        assert up.terminate() == 0
    assert len({span.trace for span in collector.named(PUSH)}) == 2
    assert_batches_are_linked(collector)
    assert {span.resource["service.name"] for span in collector.spans} == {"callstitch"}
    for secret in (*IN_NO_SPAN, up.token.encode()):
        assert secret not in collector.raw


@pytest.mark.rabbitmq
def test_roles_tell_one_trace_and_link_those_that_share_a_batch(
    tmp_path: Path, collector: Collector, hook: str, fresh_amqp_url: str
) -> None:
    with running_roles(
        tmp_path, fresh_amqp_url, extra=hook, environ=collector.environ, workers=WORKERS, call_events=False
    ) as (door, workers):
        workers["dedupe"].terminate()
        push(door, 3)
        workers["dedupe"].start()
        ways = traces(door, collector, 3)
    assert [[span.name for span in way] for way in ways] == [WAY] * 3
    assert len({way[0].trace for way in ways}) == 3
    assert all(len({span.resource["service.instance.id"] for span in way}) == 4 for way in ways), "four processes"
    assert_batches_are_linked(collector)
    (together,) = collector.named("dedupe batch")
    assert set(together.links) == {(way[1].trace, way[1].id) for way in ways}
