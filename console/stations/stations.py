"""All stages of a process: those that an operator can hold, each with its switch, and `decide`, which has no store."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import AsyncExitStack

from console.stations.station import Beside, Station
from runtime.consume.crew import Loop
from runtime.consume.waiting import first_of
from runtime.tasks import lasting
from schemas.topology import HOLDABLE, STAGES
from workers.process import ROLES, Process
from workers.wiring import open_role


class Stations:
    """Made by `open_stations`."""

    def __init__(self, process: Process, stations: Sequence[Station]) -> None:
        self._process = process
        self._stations = stations

    @property
    def names(self) -> list[str]:
        """Of those that can be held."""
        return [stage for station in self._stations for stage in station.stages]

    @property
    def own_state(self) -> bool:
        """Whether one keeps what only its process can change where it lies in files, and does so at a command."""
        return any(STAGES[name].owns_state for name in self.names)

    @property
    def loops(self) -> list[Loop]:
        """Those that run now."""
        return [*self._process.crew.loops, *(loop for station in self._stations for loop in station.loops)]

    def checks(self) -> Mapping[str, bool | str]:
        """What /readyz tells of them."""
        found: dict[str, bool | str] = {loop.name: loop.ready for loop in self._process.crew.loops}
        for station in self._stations:
            found |= station.checks()
        return found

    def held(self) -> Mapping[str, str]:
        """What an operator holds, with who and since when."""
        return {name: str(word) for station in self._stations for name, word in station.held.items()}

    async def begun(self, stopping: asyncio.Event) -> bool:
        """Wait until each is open, held, or waits for its turn; False where we are to stop before that."""
        for station in self._stations:
            if await first_of(station.begun, stopping) is stopping:
                return False
        return True

    async def run(self, stopping: asyncio.Event) -> None:
        """All of them until `stopping`, then until each is drained.

        Raises:
            CallstitchError: in a group; one cannot be opened at the start, or ended before it was told to.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._process.crew.run(stopping))
            for station in self._stations:
                tasks.create_task(lasting(station.run(stopping), stopping, name=station.role))


async def open_stations(
    process: Process, roles: Collection[str], stack: AsyncExitStack, *, part: str | None = None, beside: Beside
) -> Stations:
    """What a process plays, to be run: each role of `ROLES` is a station, and what is not held is opened then.

    Raises:
        Misconfigured, Unavailable: see open_role.
    """
    stages = {role: [row.name for row in ROLES[role]] for role in roles}
    every = [name for names in stages.values() for name in names]
    stations = [
        Station(process, role, names, part=part, all_stages=every, beside=beside)
        for role, names in stages.items()
        if set(names) <= set(HOLDABLE)
    ]
    process.reloads.extend(station.prepare for station in stations)
    for role, names in stages.items():
        if not set(names) <= set(HOLDABLE):
            process.crew.add(await stack.enter_async_context(open_role(process, role, part=part)))
    return Stations(process, stations)
