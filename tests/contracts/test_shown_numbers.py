"""What an operator's commands show and erase of pushes from the field, from push to screen, on both stores."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import structlog
from typer.testing import CliRunner

from console.main import app
from schemas.envelope import JsonObject
from tests.building.stores import SOURCE, PostgresqlRig, SqliteRig, StoreRig
from tests.contracts.pipe import ALIYUN, open_pipe

A, B = "+8613100000011", "+8613200000012"
SESSION: Final = f"{A}_{B}_4_627e5c1f_963036_669_1_0"


def a_fee(**changes: Any) -> JsonObject:
    """A real AXB CDR has a session id of both parties' numbers."""
    record = {
        "icid": "ba171f34105.4.3757285803.1", "bindNum": "+8617000000010", "sessionId": SESSION, "callerNum": A,
        "calleeNum": "+8617000000010", "fwdDisplayNum": "+8617000000010", "fwdDstNum": B,
        "fwdAnswerTime": "2026-11-20 05:25:18", "callEndTime": "2026-11-20 05:25:41", "serviceType": "004",
    }  # fmt: skip
    return {"eventType": "fee", "feeLst": [{**record, **changes}]}


RECEIPT: Final[JsonObject] = {
    "id": 900114, "pool_key": "FC100000000000001", "sub_id": 1000100000000001, "call_id": "f1e2d3c4b5a60114",
    "phone_no": "13100000031", "secret_no": "17000000032", "peer_no": "0755-12345678", "call_type": 0,
    "call_time": "2026-11-20 13:24:57", "start_time": "2026-11-20 13:25:18", "release_time": "2026-11-20 13:25:41",
    "release_dir": 1, "release_cause": 16, "unconnected_cause": 0,
}  # fmt: skip


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """A command sets up the logs of its process, which here is that of all tests."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield
    structlog.reset_defaults()
    root.setLevel(level)
    root.handlers[:] = handlers


async def command(rig: StoreRig, directory: Path, *arguments: str, code: int = 0) -> str:
    store = f"sqlite:{rig.directory}" if isinstance(rig, SqliteRig) else rig.dsn  # type: ignore[attr-defined]
    config = directory / "config.toml"
    config.write_text(f'broker = "embedded:{directory}/b.db"\nstore = "{store}"\n')
    ended = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "--config", str(config)])
    assert ended.exit_code == code, ended.output
    return ended.output.replace("\n", " ")


async def test_a_trace_shows_no_number_of_a_session_id_that_is_made_of_them(
    store_rig: StoreRig, tmp_path: Path
) -> None:
    async with store_rig.open_parked(), open_pipe(store_rig) as pipe:
        await pipe.pushes(a_fee())
        shown = await command(store_rig, tmp_path, "trace", f"{SOURCE}:{SESSION}")
        assert shown.startswith(f"call {SOURCE}:+86131****0011_+86132****0012_4_627e5c1f")
        assert "caller=+86131****0011" in shown
        assert not [number for number in (A, B) if number[3:] in shown]
        assert A in await command(store_rig, tmp_path, "trace", f"{SOURCE}:{SESSION}", "--show-numbers")


async def test_a_landline_with_a_dash_is_masked_because_of_its_field(store_rig: StoreRig, tmp_path: Path) -> None:
    async with store_rig.open_parked(), open_pipe(store_rig) as pipe:
        await pipe.pushes([RECEIPT], source=ALIYUN)
        shown = await command(store_rig, tmp_path, "trace", f"{ALIYUN}:{RECEIPT['call_id']}")
    assert "caller=+86131****0031" in shown
    assert "12345678" not in shown


async def test_a_person_is_erased_by_the_command_from_postgresql(store_rig: StoreRig, tmp_path: Path) -> None:
    """On SQLite the owner of the state does it: tests/e2e/test_purge.py."""
    async with store_rig.open_parked(), open_pipe(store_rig) as pipe:
        await pipe.pushes(a_fee())
        seen = await command(store_rig, tmp_path, "purge", "--number", "131 0000 0011", "--dry-run")
        assert "would be erased: 1 call(s), 0 other event(s), 0 parked message(s)" in seen
        assert A[3:] not in seen
        if not isinstance(store_rig, PostgresqlRig):
            return
        assert "it waits for a deadline" in await command(store_rig, tmp_path, "purge", "--number", A, code=1)
        await pipe.waits(60)
        assert "not sent yet" in await command(store_rig, tmp_path, "purge", "--number", A, code=1)
        await pipe.sent()
        await pipe.waits(61)  # the mark rides with the next tick
        assert "erased: 1 call(s)" in await command(store_rig, tmp_path, "purge", "--number", A)
        assert "nothing of it is kept" in await command(store_rig, tmp_path, "purge", "--number", A)
        before = len(pipe.events)
        await pipe.pushes(a_fee(userData="amended"))
        assert len(pipe.events) == before
