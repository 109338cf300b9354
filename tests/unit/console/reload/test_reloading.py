"""A reload that somebody keeps waiting."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from console.reload.reloading import Reloading
from console.roles import open_process
from tests.building.loops import until
from workers.config import Config
from workers.process import Commit


async def test_one_that_waits_for_somebody_in_vain_is_told_and_tried_again(tmp_path: Path) -> None:
    """A broker in an alarm opens no channel, and until it ended no change was taken, and nothing said so."""
    path = tmp_path / "config.toml"
    path.write_text(f'broker = "embedded::memory:"\nstore = "sqlite:{tmp_path}/state"\n')
    reloading = Reloading(path, patience=0.1)
    tries: list[Config] = []

    async def hangs(config: Config, _: AsyncExitStack) -> Commit:
        tries.append(config)
        await asyncio.Event().wait()
        raise AssertionError

    async with open_process(reloading.load(), declare=True) as process:
        process.reloads.append(hangs)
        running = asyncio.create_task(reloading.run(process))
        for n in (1, 2):
            reloading.ask()
            await until(lambda n=n: len(tries) == n and reloading.stale.startswith("not made ready"))  # type: ignore[misc]
        running.cancel()
