"""The posts of the benchmarks and the generator that sends them."""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest
from aiohttp import web

from tests.bench import posting
from tests.bench.bodies import CDR_POST_BYTES, SESSION, Posts, call_of, session_id, steps_in_order
from tests.bench.posting import Order
from tests.services import ports

RUN = "r1234567"


def test_every_post_is_a_new_step_and_a_calls_cdr_comes_last() -> None:
    calls = 300
    order = steps_in_order(calls)

    assert len(set(order)) == len(order) == calls * 6
    assert all(order.index((call, step)) < order.index((call, step + 1)) for call in (0, 255, 299) for step in range(5))


@pytest.mark.parametrize(
    ("kind", "total", "notifications"), [("steps", 606, 606), ("cdrs", 101, 101), ("merged", 3, 101)]
)
def test_the_posts_of_a_run_name_each_session_and_end_each_call_once(kind: str, total: int, notifications: int) -> None:
    posts = Posts(kind, run=RUN, calls=101)
    made = [posts[position] for position in range(posts.total)]

    assert (posts.total, posts.notifications) == (total, notifications)
    assert sorted(call for post in made for call in post.ends) == list(range(101))
    assert {found for post in made for found in SESSION.findall(post.body)} == {
        (RUN.encode(), b"%08d" % call) for call in range(101)
    }
    assert len({post.body for post in made}) == total


def test_a_post_of_one_cdr_is_a_kilobyte_of_json() -> None:
    post = Posts("cdrs", run=RUN, calls=1)[0]

    assert len(post.body) == CDR_POST_BYTES
    assert orjson.loads(post.body)["feeLst"][0]["sessionId"] == session_id(RUN, 0)
    assert call_of(post.body) == (RUN, 0)


@asynccontextmanager
async def a_server(statuses: list[int], seen: list[bytes]) -> AsyncIterator[int]:
    async def answer(request: web.BaseRequest) -> web.Response:
        seen.append(await request.read())
        return web.Response(status=statuses.pop() if statuses else 200, text="thanks")

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port := ports.free_port())
        await site.start()
        yield port
    finally:
        await runner.cleanup()


def an_order(port: int, *, rate: float = 0.0, stamps: str = "") -> Order:
    return Order(port=port, path="", kind="steps", run=RUN, calls=5, connections=3, rate=rate, stamps=stamps)


async def test_the_generator_posts_each_once_counts_refusals_and_stamps_each_calls_end(tmp_path: Path) -> None:
    seen: list[bytes] = []
    async with a_server([503], seen) as port:
        load = posting._Load(an_order(port, stamps=str(tmp_path / "stamps")))
        await load.play()
        load.write_stamps()

    stamps = array("d")
    stamps.frombytes((tmp_path / "stamps").read_bytes())
    assert (load.report.answered, load.report.refused, len(set(seen))) == (29, 1, 30)
    assert all(load.report.began <= stamp <= load.report.ended for stamp in stamps)
    assert load.report.latency["p99"] > 0


async def test_a_paced_generator_keeps_to_its_rate() -> None:
    async with a_server([], []) as port:
        load = posting._Load(an_order(port, rate=100))
        await load.play()

    assert load.report.ended - load.report.began >= 0.28  # the thirtieth post is due after 0.29 s
