"""Where a run is played: the servers, the peers' environment, and the programs that put load on."""

from __future__ import annotations

import asyncio
import json
import resource
import secrets
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.bench.bodies import cdr_template
from tests.bench.builds import HERE, Build
from tests.bench.contender import Trouble, module
from tests.bench.peers_environment import peers_python
from tests.bench.posting import Order, Report
from tests.bench.services import Cluster, Node, go_peer, limit, wrk
from tests.bench.settings import CONNECTIONS, Settings
from tests.bench.usage import usage

PROGRAM_SECONDS = 300.0


@dataclass(kw_only=True)
class Theatre:
    """Opened once for all cases; everything in it is made when first used, and ended by `cleaning`."""

    settings: Settings
    cleaning: ExitStack
    ours: Build = HERE  # today's tree
    beside: Sequence[Build] = ()  # other trees, and today's on other interpreters

    @property
    def directory(self) -> Path:
        """Of this run's logs and files."""
        return self.settings.directory

    def run_directory(self) -> Path:
        """A new name for a directory of one run's logs and state."""
        return self.directory / "runs" / new_run()

    def scratch(self, name: str) -> Path:
        """A directory that several runs use; deleted at the end of all."""
        found = self.directory / "runs" / name
        self.cleaning.callback(shutil.rmtree, found, ignore_errors=True)
        return found

    @cached_property
    def node(self) -> Node:
        """RabbitMQ."""
        node = Node()
        self.cleaning.callback(node.close)
        return node

    @cached_property
    def cluster(self) -> Cluster:
        """PostgreSQL."""
        cluster = Cluster()
        self.cleaning.callback(cluster.close)
        return cluster

    @cached_property
    def peers(self) -> Path:
        """The peers' interpreter."""
        return peers_python(self.directory, self.ours.python)

    @cached_property
    def limit(self) -> Path:
        """The C client."""
        return limit(self.directory)

    @cached_property
    def go(self) -> Path:
        """The peer in Go."""
        return go_peer(self.directory)

    @property
    def uses_cluster(self) -> bool:
        """Whether somebody needed PostgreSQL so far."""
        return "cluster" in self.__dict__

    @property
    def broker_cpu(self) -> float:
        """Seconds, of all its processes, so far."""
        return usage([self.node.pid]).cpu

    @property
    def store_cpu(self) -> float:
        """The same of PostgreSQL."""
        return usage([self.cluster.pid]).cpu

    @asynccontextmanager
    async def vhost(self) -> AsyncIterator[str]:
        """The URL of an empty vhost, deleted at the end with all that is in it."""
        url = self.node.make_vhost()
        try:
            yield url
        finally:
            self.node.delete_vhost(url)

    async def post(self, order: Order) -> Report:
        """Play this order with our own generator; returns when all is answered.

        Raises:
            Trouble: a connection broke, or it took too long.
        """
        told, _ = await _output(module("tests.bench.posting"), given=json.dumps(asdict(order)))
        return Report(**json.loads(told))

    async def wrk(self, port: int, path: str, *, seconds: int, run: str) -> tuple[dict[str, Any], float]:
        """What wrk counted (see post.lua), and its own CPU seconds.

        Raises:
            Trouble: it failed.
        """
        template = self.directory / "cdr"
        template.write_bytes(cdr_template())
        command = [str(wrk()), "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", str(_LUA)]
        told, cpu = await _output([*command, f"http://127.0.0.1:{port}{path}", "--", str(template), run])
        found: dict[str, Any] = json.loads(told.splitlines()[-1])
        return found, cpu

    async def run_limit(self, *arguments: str) -> tuple[float, float]:
        """Seconds that the C client told, and its CPU seconds.

        Raises:
            Trouble: it failed.
        """
        told, cpu = await _output([str(self.limit), *arguments])
        return float(told), cpu


_LUA = Path(__file__).with_name("post.lua")


def new_run() -> str:
    """A name that keeps this run's sessions apart from all others: eight letters and digits."""
    return f"r{secrets.token_hex(4)[:7]}"


async def _output(command: Sequence[str], given: str = "") -> tuple[str, float]:
    """What it printed, and the CPU seconds of it: no other child of ours is waited for in the meantime."""
    before = _children_cpu()
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(PROGRAM_SECONDS):
            out, error = await process.communicate(given.encode())
    except TimeoutError:
        process.kill()
        await process.wait()
        raise Trouble(f"{Path(command[0]).name} took over {PROGRAM_SECONDS:g} s") from None
    if process.returncode:
        raise Trouble(f"{Path(command[0]).name} failed: {error.decode(errors='replace').strip()[-300:]}")
    return out.decode(), _children_cpu() - before


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
