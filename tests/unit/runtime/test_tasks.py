"""A background task that ends by itself ends what stands on it, and the log says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest
from structlog.testing import capture_logs

from runtime.tasks import Died, Watch, lasting, watched

FOREVER = 60.0


async def fails() -> None:
    raise TypeError("the number of somebody: 13800000021")


async def returns() -> None:
    return


async def goes_on() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("work", "name", "how"), [(fails, "fails", "TypeError at test_tasks.py"), (returns, "returns", "it returned")]
)
async def test_whoever_opened_it_is_cancelled_and_told_which_and_how(
    work: Callable[[], Coroutine[Any, Any, None]], name: str, how: str
) -> None:
    watch: Watch | None = None
    with capture_logs() as logged, pytest.raises(Died, match=f"{name} {how}") as died:
        async with watched(goes_on(), work()) as watch:
            await asyncio.sleep(FOREVER)
    assert watch is not None
    assert not watch.alive
    assert "13800000021" not in f"{died.value}{logged}"
    assert [(line["event"], line["task"], line["log_level"]) for line in logged] == [("task.ended", name, "error")]
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling(), "the caller goes on as if nobody had cancelled it"


async def test_it_is_told_too_when_the_context_is_left_before_the_cancel_arrives() -> None:
    async def work() -> None:
        async with watched(returns()):
            with suppress(asyncio.CancelledError):  # as code may that takes it for its own
                await asyncio.sleep(FOREVER)

    with pytest.raises(Died):
        await work()


async def test_a_task_that_somebody_else_cancels_is_not_silent_either() -> None:
    tasks: list[asyncio.Task[None]] = []

    async def cancelled() -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        await goes_on()

    async def work() -> None:
        async with watched(cancelled()):
            await asyncio.sleep(0)
            tasks[0].cancel()
            await asyncio.sleep(FOREVER)

    with pytest.raises(Died, match="it was cancelled"):
        await work()


async def test_in_a_life_that_ends_in_order_nobody_died() -> None:
    with capture_logs() as logged:
        async with watched(goes_on(), goes_on()) as watch:
            await asyncio.sleep(0)
        with pytest.raises(ZeroDivisionError):
            async with watched(goes_on()):
                raise ZeroDivisionError
    assert watch.alive
    assert logged == []


async def test_whoever_is_cancelled_stays_cancelled() -> None:
    async def work() -> None:
        async with watched(goes_on()):
            await asyncio.sleep(FOREVER)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_loop_may_end_once_it_is_told_to_and_not_before() -> None:
    over = asyncio.Event()
    with pytest.raises(Died, match="dedupe returned"):
        await lasting(returns(), over, name="dedupe")
    over.set()
    await lasting(returns(), over, name="dedupe")
