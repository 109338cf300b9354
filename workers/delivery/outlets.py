"""The sinks that a process serves: each with a loop, opened as the config says, and again as it changes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, NamedTuple

from runtime.clock import Clock
from runtime.consume.crew import Crew
from runtime.consume.current import Current
from runtime.consume.loop import StageLoop
from schemas.envelope import JsonObject
from schemas.errors import Misconfigured
from schemas.settings import Outlet
from schemas.stage import Stage
from workers.config import Config
from workers.delivery.filters import filter_of
from workers.delivery.log import DeliveryLog
from workers.delivery.states import SinkStates
from workers.fan_out import Count, Sink, fan_out
from workers.sinks import AnySink

Commit = Callable[[], Awaitable[None]]


class _Opened(NamedTuple):
    """What writes to a sink, and what has to be closed with it."""

    sink: Sink
    own: AsyncExitStack


@dataclass(frozen=True, slots=True, kw_only=True)
class _Served:
    """A sink as it is open now."""

    sink: AnySink
    opened: _Opened
    current: Current
    loop: StageLoop


class Outlets:
    """All sinks, or the one that is `wanted`; `loop_of` makes a loop for a sink and its stage.

    `count_of` gives what counts for the sink of a name, `filtered_of` what counts the events that it does not want,
    `see_declared` raises where something is missing at the broker.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        crew: Crew,
        states: SinkStates,
        loop_of: Callable[[AnySink, Stage], StageLoop],
        count_of: Callable[[str], Count],
        filtered_of: Callable[[str], Callable[[int], None]],
        log: DeliveryLog,
        see_declared: Callable[[Config], Awaitable[None]],
        wanted: str | None,
    ) -> None:
        self._clock = clock
        self._states = states
        self._crew = crew
        self._loop_of = loop_of
        self._count_of = count_of
        self._filtered_of = filtered_of
        self._log = log
        self._see_declared = see_declared
        self._wanted = wanted
        self._served: dict[str, _Served] = {}

    async def open(self, sinks: Sequence[AnySink], stack: AsyncExitStack) -> list[StageLoop]:
        """The loops of all; `close` closes what they work with.

        Raises:
            Misconfigured: there is no sink of the name that is wanted, or one cannot be opened.
        """
        for sink in self._chosen(sinks):
            self._serve(sink, await self._opened(sink, stack))
        return [one.loop for one in self._served.values()]

    async def prepare(self, config: Config, stack: AsyncExitStack) -> Commit:
        """Open what is new or goes elsewhere; then the commit begins to serve it, and ends what is gone.

        One that only wants other events, or sees other things of them, stays open: a file has one owner.

        Raises:
            Misconfigured, Unavailable: one cannot be opened, or the queue of a new one is missing.
        """
        chosen = {sink.name: sink for sink in self._chosen(config.sink)}
        if chosen.keys() - self._served.keys():
            await self._see_declared(config)
        opened = {sink.name: await self._opened(sink, stack) for sink in chosen.values() if self._is_news(sink)}

        async def commit() -> None:
            for name, sink in chosen.items():
                if name in opened or sink != self._served[name].sink:
                    await self._take(sink, opened.get(name))
            for name in self._served.keys() - chosen.keys():
                await self._end(self._served.pop(name))

        return commit

    def loops(self) -> Mapping[str, StageLoop]:
        """By the sink's name."""
        return {name: one.loop for name, one in self._served.items()}

    async def retry_now(self, asked: JsonObject) -> JsonObject:
        """Have come at once what waits in delay tiers for `sink`; how many messages `went`."""
        return {"went": await self._served[asked["sink"]].loop.retry_now()}

    async def close(self) -> None:
        """Close all that is open; nothing is under way any more."""
        for one in self._served.values():
            await one.current.close()

    def _chosen(self, sinks: Sequence[AnySink]) -> list[AnySink]:
        chosen = [sink for sink in sinks if self._wanted in (None, sink.name)]
        if self._wanted is not None and not chosen:
            raise Misconfigured(f"there is no [[sink]] named {self._wanted}")
        return chosen

    def _is_news(self, sink: AnySink) -> bool:
        served = self._served.get(sink.name)
        return served is None or _its_own(served.sink) != _its_own(sink)

    async def _opened(self, sink: AnySink, stack: AsyncExitStack) -> _Opened:
        own = await stack.enter_async_context(AsyncExitStack())
        return _Opened(await own.enter_async_context(sink.open(self._clock)), own)

    def _stage(self, sink: AnySink, opened: _Opened) -> Stage:
        heard, count = self._states.hearing(sink.name), self._count_of(sink.name)
        keep = self._log.of(sink.name, sink.taken)
        wants, filtered = filter_of(sink), self._filtered_of(sink.name)
        handler = fan_out(
            opened.sink,
            name=sink.name,
            tell=heard,
            count=count,
            keep=keep,
            wants=wants,
            seen=sink.view,
            filtered=filtered,
        )
        return Stage(handler)

    def _serve(self, sink: AnySink, opened: _Opened) -> StageLoop:
        current = Current(self._stage(sink, opened), opened.own)
        loop = self._loop_of(sink, current.stage)
        self._states.begin(sink.name, loop)
        self._served[sink.name] = _Served(sink=sink, opened=opened, current=current, loop=loop)
        return loop

    async def _take(self, sink: AnySink, opened: _Opened | None) -> None:
        served = self._served.get(sink.name)
        if served is None:
            assert opened is not None
            self._crew.add([self._serve(sink, opened)])
            return
        now = opened or _Opened(served.opened.sink, served.opened.own.pop_all())
        self._served[sink.name] = _Served(sink=sink, opened=now, current=served.current, loop=served.loop)
        await served.current.exchange(self._stage(sink, now), now.own)
        if opened is not None:
            served.loop.look_again()

    async def _end(self, served: _Served) -> None:
        await self._crew.send_away(served.loop)
        await served.current.close()


def _its_own(sink: Outlet) -> Mapping[str, Any]:
    """What it is opened with; which events it wants, and what it sees of them, is another matter."""
    return sink.model_dump(exclude=set(Outlet.model_fields))
