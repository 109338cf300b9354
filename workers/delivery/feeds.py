"""The downstream queues that a process feeds: each with a loop, and again as the config changes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from runtime.consume.crew import Crew
from runtime.consume.current import Current
from runtime.consume.loop import StageLoop
from schemas.errors import Misconfigured
from schemas.stage import Stage
from workers.config import Config, DownstreamQueue
from workers.delivery.filters import filter_of
from workers.feed import Target, feed

Commit = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fed:
    """A queue as it is fed now."""

    queue: DownstreamQueue
    current: Current
    loop: StageLoop


class Feeds:
    """All queues that are fed, or the one that is `wanted`; `loop_of` makes a loop for a queue and its stage.

    `filtered_of` gives what counts the events that the queue of a name does not want, `see_declared` raises where
    something that a config needs is missing at the broker.
    """

    def __init__(
        self,
        *,
        crew: Crew,
        loop_of: Callable[[DownstreamQueue, Stage], StageLoop],
        filtered_of: Callable[[str], Callable[[int], None]],
        see_declared: Callable[[Config], Awaitable[None]],
        wanted: str | None,
    ) -> None:
        self._crew = crew
        self._filtered_of = filtered_of
        self._see_declared = see_declared
        self._loop_of = loop_of
        self._wanted = wanted
        self._fed: dict[str, _Fed] = {}

    def open(self, queues: Sequence[DownstreamQueue]) -> list[StageLoop]:
        """The loops of all.

        Raises:
            Misconfigured: there is no queue of the name that is wanted, or it is not fed.
        """
        return [self._begin(queue) for queue in self._chosen(queues)]

    async def prepare(self, config: Config, _: AsyncExitStack) -> Commit:
        """The commit begins to feed what is new, goes on with what is another, and ends what is gone.

        Of a queue that events come to without us now, what its feed still holds goes there as it would have before.

        Raises:
            Misconfigured: as `open`, and where the queue of a new one is missing.
            Unavailable: the broker is away.
        """
        chosen = {queue.name: queue for queue in self._chosen(config.queue)}
        if chosen.keys() - self._fed.keys():
            await self._see_declared(config)

        async def commit() -> None:
            for name in self._fed.keys() - {queue.name for queue in config.queue}:
                await self._crew.send_away(self._fed.pop(name).loop)
            for name, queue in chosen.items():
                if (fed := self._fed.get(name)) is None or fed.queue.step != queue.step:
                    if fed is not None:
                        await self._crew.send_away(fed.loop)
                    self._crew.add([self._begin(queue)])
                elif fed.queue != queue:
                    await fed.current.exchange(self._stage(queue))
                    self._fed[name] = _Fed(queue=queue, current=fed.current, loop=fed.loop)

        return commit

    def _begin(self, queue: DownstreamQueue) -> StageLoop:
        current = Current(self._stage(queue))
        loop = self._loop_of(queue, current.stage)
        self._fed[queue.name] = _Fed(queue=queue, current=current, loop=loop)
        return loop

    def _chosen(self, queues: Sequence[DownstreamQueue]) -> list[DownstreamQueue]:
        chosen = [queue for queue in queues if queue.fed and self._wanted in (None, queue.name)]
        if self._wanted is not None and not chosen:
            raise Misconfigured(f"there is no [[queue]] named {self._wanted} that has to be fed")
        return chosen

    def _stage(self, queue: DownstreamQueue) -> Stage:
        target = Target(queue=queue.name, form=queue.form, wants=filter_of(queue), seen=queue.view)
        return Stage(feed(target, filtered=self._filtered_of(queue.name)))
