"""What `callstitch purge` erases of what it found."""

from __future__ import annotations

from pathlib import Path

from console.purging import Found, erase
from tests.building.stores import PostgresqlRig, a_whole_call, asked, at, fold, forget_everything
from workers.config import Config

CALL = "huawei-bj:s1"


async def test_a_call_that_had_work_under_way_when_it_was_found_is_left_though_it_has_ended_since(
    postgres_dsn: str, tmp_path: Path
) -> None:
    """Where its recordings lie was not looked for then, and only its session knows."""
    await forget_everything(postgres_dsn)
    rig = PostgresqlRig(postgres_dsn)
    async with rig.open_sessions() as sessions:
        for envelope in await fold(sessions, a_whole_call("s1"), told=70):
            await sessions.sent([envelope.id], at(80))
    config = Config.model_validate({"store": postgres_dsn, "objects": f"file:{tmp_path}"})
    erased = await erase(config, Found(calls={CALL}, waiting={CALL: "its recording is being fetched"}))
    assert (erased.calls, dict(erased.waiting)) == (0, {CALL: "its recording is being fetched"})
    assert await asked(rig, lambda reads: reads.session(CALL)) is not None
    assert (await erase(config, Found(calls={CALL}))).calls == 1
