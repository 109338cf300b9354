"""`callstitch health` against a real admin port."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from console.health import probe
from runtime.admin import serve_admin
from runtime.telemetry import Telemetry
from schemas.settings import Ingest
from tests.building.tree import ROOT
from tests.services import ports

HEAVY = {"aiohttp", "pydantic", "rich", "structlog", "typer", "asyncpg", "obstore", "workers", "runtime"}
BAD_CONFIGS = {
    "a table that is none": ("ingest = 7", "ingest.admin"),
    "a port that is none": ('[ingest]\nadmin = "localhost:no"', "ingest.admin"),
    "an address that is none": ("[ingest]\nadmin = 8081", "ingest.admin"),
    "no TOML": ("[ingest", "is not TOML"),
}


async def asked(
    tmp_path: Path, admin: str, checks: dict[str, Callable[[], bool | str]], paused: Callable[[], Sequence[str]] = tuple
) -> tuple[int, int]:
    """The exit code beside a role with that `admin` (its port is chosen here), and that port."""
    port = ports.free_port()
    config = tmp_path / "config.toml"
    config.write_text(f'[ingest]\nadmin = "{admin}:{port}"')

    def found() -> dict[str, bool | str]:
        return {name: check() for name, check in checks.items()}

    async with serve_admin(f"{admin}:{port}", Telemetry(), found, commands={}, token=None, paused=paused):
        return await asyncio.to_thread(probe.main, ["--config", str(config)], {}), port


@pytest.mark.parametrize("admin", ["127.0.0.1", "0.0.0.0", "localhost"])  # noqa: S104 - as in a container
async def test_a_role_that_is_ready_is_healthy(tmp_path: Path, capsys: pytest.CaptureFixture[str], admin: str) -> None:
    code, _ = await asked(tmp_path, admin, {"broker": lambda: True, "dedupe": lambda: True})
    assert (code, capsys.readouterr().out) == (0, "ready: broker, dedupe\n")


async def test_one_that_is_not_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    why = "unroutable:\x1b no queue"
    code, _ = await asked(tmp_path, "127.0.0.1", {"broker": lambda: True, "door": lambda: why, "x": lambda: False})
    assert (code, capsys.readouterr().out) == (1, r"not ready: door (unroutable:\x1b no queue), x" + "\n")


async def test_one_whose_sink_rests_is_healthy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _ = await asked(tmp_path, "127.0.0.1", {"fan_out.crm": lambda: True}, paused=lambda: ["fan_out.crm"])
    assert (code, capsys.readouterr().out) == (0, "ready: fan_out.crm, fan_out.crm is paused\n")


async def test_one_that_could_not_take_its_config_is_healthy_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    admin = f"127.0.0.1:{ports.free_port()}"
    why = "c.toml is not TOML"
    async with serve_admin(admin, Telemetry(), lambda: {"door": True}, commands={}, token=None, stale=lambda: why):
        code = await asyncio.to_thread(probe.main, [], {"CALLSTITCH_INGEST_ADMIN": admin})
    assert (code, capsys.readouterr().out) == (0, f"ready: door, its config was not taken ({why})\n")


def test_nobody_there_is_unhealthy(capsys: pytest.CaptureFixture[str]) -> None:
    port = ports.free_port()
    assert probe.main([], {"CALLSTITCH_INGEST_ADMIN": f"0.0.0.0:{port}"}) == 1
    assert capsys.readouterr().out == f"not ready: no answer from 127.0.0.1:{port}: Connection refused\n"


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found"])
async def test_another_server_there_is_unhealthy(capsys: pytest.CaptureFixture[str], status: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\nhello".encode())
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1") as server:
        host, port = server.sockets[0].getsockname()
        code = await asyncio.to_thread(probe.main, [], {"CALLSTITCH_INGEST_ADMIN": f"{host}:{port}"})
    assert (code, capsys.readouterr().out) == (1, "not ready: it is no admin port of ours\n")


@pytest.mark.parametrize("fault", BAD_CONFIGS)
def test_a_config_that_does_not_tell_the_port_ends_with_78(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    text, said = BAD_CONFIGS[fault]
    (tmp_path / "config.toml").write_text(text)
    assert probe.main([], {"CALLSTITCH_CONFIG": str(tmp_path / "config.toml")}) == 78
    assert said in capsys.readouterr().err


def test_a_config_that_is_missing_ends_with_78(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert probe.main(["--config", str(tmp_path / "none.toml")], {}) == 78
    assert "cannot read" in capsys.readouterr().err


def test_without_a_config_it_asks_where_up_listens() -> None:
    assert Ingest().admin == probe.DEFAULT_ADMIN


def test_it_loads_nothing_of_the_product() -> None:
    """A second of CPU for each container every few seconds would be a core for ten of them."""
    loaded = "import console.__main__, sys; print(*{name.partition('.')[0] for name in sys.modules})"
    found = subprocess.run([sys.executable, "-c", loaded], cwd=ROOT, check=True, capture_output=True, text=True)
    assert HEAVY & set(found.stdout.split()) == set()


def test_the_script_runs_it_and_the_rest() -> None:
    def ran(*arguments: str) -> int:
        return subprocess.run(
            [sys.executable, "-m", "console", *arguments], cwd=ROOT, capture_output=True, check=False
        ).returncode

    assert [ran("health", "--help"), ran("health", "--no-such"), ran("--version"), ran("no-such")] == [0, 2, 0, 2]
