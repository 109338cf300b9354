"""Callstitch as the benchmarks run it: its own command, one role a process, with a config made for the case."""

from __future__ import annotations

import http.client
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.bench.builds import HERE, Build
from tests.bench.contender import Processes, Trouble
from tests.e2e.programs import request
from tests.services import ports

SOURCE: Final = "bench"
TOKEN: Final = "benchmark-token-0000"
PATH: Final = f"/v1/{SOURCE}/{TOKEN}"
DOWNSTREAM: Final = "bench"
EVENTS_FILE: Final = "calls.jsonl"
_EVENTS: Final = '["call.completed", "call.amended", "call.progress"]'
_ENVIRON: Final = {"BENCH_TOKEN": TOKEN}


@dataclass(kw_only=True)
class Ours:
    """The processes of Callstitch in one run. `merged`: the source pushes no call events.

    `batch`: the downstream queue takes its events in batches.
    `sinks`: so many jsonl sinks beside the downstream queue, each for the same events.
    """

    processes: Processes
    broker: str
    store: str
    build: Build = HERE
    merged: bool = False
    batch: bool = False
    sinks: int = 0
    port: int = field(default_factory=ports.free_port)

    def __post_init__(self) -> None:
        """Write the config."""
        self.processes.directory.mkdir(parents=True, exist_ok=True)
        (self.processes.directory / "config.toml").write_text(self._config())

    @property
    def events_file(self) -> Path:
        """Where the embedded stack leaves its events."""
        return self.processes.directory / EVENTS_FILE

    @property
    def sink_files(self) -> list[Path]:
        """One for each of `sinks`."""
        return [self.processes.directory / f"sink-{number}.jsonl" for number in range(1, self.sinks + 1)]

    async def declare(self) -> None:
        """Declare the topology; returns when it is there.

        Raises:
            Trouble: this tree cannot, or does not know this config.
        """
        self.processes.start("declare", self._command("declare"), {**self.build.environ, **_ENVIRON})
        declaring = self.processes.started.pop("declare")
        await self.processes.wait_until(lambda: declaring.poll() is not None)
        if declaring.returncode:
            raise Trouble(f"declare ended with code {declaring.returncode}; {self.processes.tail('declare')}")

    async def start(self, name: str, *arguments: str) -> None:
        """Start `callstitch ARGUMENTS` and wait until it is ready."""
        port = ports.free_port()
        admin = f"127.0.0.1:{port}"
        environ = {
            **self.build.environ,
            **_ENVIRON,
            "CALLSTITCH_INGEST_LISTEN": f"127.0.0.1:{self.port}",
            "CALLSTITCH_INGEST_ADMIN": admin,
        }
        self.processes.start(name, self._command(*arguments), environ)
        await self.processes.wait_until(lambda: self.processes.listens(port) and _is_ready(admin))

    def _command(self, *arguments: str) -> list[str]:
        return self.build.command("console", *arguments, "--config", "config.toml")

    def _config(self) -> str:
        embedded = self.broker.startswith("embedded:")
        queue = f'[[queue]]\nname = "{DOWNSTREAM}"\nevents = {_EVENTS}\n' + "batch = true\n" * self.batch
        out = _jsonl("file", EVENTS_FILE) if embedded else queue
        out += "".join([_jsonl(file.stem, file.name) for file in self.sink_files])
        return (
            f'broker = "{self.broker}"\nstore = "{self.store}"\nobjects = "file:recordings"\n\n'
            f'[[source]]\nname = "{SOURCE}"\nplatform = "huawei_privatenumber"\ntokens = ["env:BENCH_TOKEN"]\n'
            f"call_events = {str(not self.merged).lower()}\n\n{out}{self._at_once()}"
        )

    def _at_once(self) -> str:
        """No balancer has to see first that the door goes, where the tree would wait for one."""
        knows = "drain_delay" in (self.build.root / "docs" / "config.md").read_text()
        return '[ingest]\ndrain_delay = "0s"\n' if knows else ""


def _jsonl(name: str, path: str) -> str:
    return f'[[sink]]\nname = "{name}"\nkind = "jsonl"\npath = "{path}"\nevents = {_EVENTS}\n'


def _is_ready(admin: str) -> bool:
    try:
        return request(admin, "GET", "/readyz").status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
