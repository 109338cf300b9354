"""The compose file, started: in its order of dependencies, and asked by what the containers say of themselves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from schemas.topology import STAGES
from tests.containers import stand_ins
from tests.containers.engine import Engine, ran
from tests.e2e.programs import wait_for
from tests.services import ports

DEPENDENCIES: Final = ("rabbitmq", "postgres", "s3")
ROLES: Final = ("ingest", *STAGES)
START_SECONDS: Final = 120.0
COMPOSE_SECONDS: Final = 240.0
RESOLVED_SECONDS: Final = 120.0
LOAD: Final = Path(__file__).with_name("load.yaml")
_REACH: Final = "import socket, sys; socket.create_connection((sys.argv[1], 5672), 3).close()"
_ANSWERED: Final = (
    "import re, urllib.request as r; t = r.urlopen('http://127.0.0.1:8081/metrics').read().decode();"
    " print(sum(float(n) for n in re.findall(r'^callstitch_requests_total{.*\"200\".*} (.*)$', t, re.M)))"
)


@dataclass(kw_only=True)
class Stack:
    """One project of `podman-compose`, with ports of its own."""

    engine: Engine
    project: str = field(default_factory=lambda: f"callstitch-{os.getpid()}")
    files: Sequence[Path] = (stand_ins.COMPOSE, LOAD)  # a later one is laid over those before
    dependencies: Sequence[str] = DEPENDENCIES
    environ: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        """Take free ports in place of those that a laptop has free."""
        self.environ = {
            "CALLSTITCH_DOOR": f"127.0.0.1:{ports.free_port()}",
            "RABBITMQ_PAGE": f"127.0.0.1:{ports.free_port()}",
            "CALLSTITCH_IMAGE": stand_ins.IMAGE,
            "DEMO_CALLS": "1000",  # a play of two minutes at least: all that comes and goes does so under its load
            "DEMO_RATE": "50",
            "PATH": os.environ["PATH"],
        }

    def compose(self, *arguments: str, seconds: float = COMPOSE_SECONDS) -> str:
        """Run it on the files."""
        files = [word for file in self.files for word in ("--file", str(file))]
        words = [sys.executable, "-m", "podman_compose", "--project-name", self.project, *files, "--profile", "demo"]
        done = ran(self.engine.command(*words, *arguments, environ=self.environ), seconds=seconds)
        return done.stdout + done.stderr

    def start(self) -> None:
        """As `docker compose up` does: what others depend on first, and `declare` before the roles.

        Podman 4.3 knows no condition on health, and stumbles over dependencies of dependencies: the order is ours.
        """
        self.up(*self.dependencies)
        self.wait_until_healthy(*self.dependencies)
        self.compose("up", "--no-build", "--no-deps", "declare")
        assert self.exit_code(self.one("declare")) == 0, self.tail("declare")
        self.up(*ROLES)
        self.wait_until_healthy(*ROLES)

    def up(self, *services: str) -> None:
        """Start them in the background."""
        self.compose("up", "--detach", "--no-build", "--no-deps", *services)

    def scale_up(self, service: str, count: int) -> None:
        """Start more of it."""
        self.compose("up", "--detach", "--no-build", "--no-deps", "--scale", f"{service}={count}", service)

    def stop(self, name: str) -> tuple[int, float]:
        """SIGTERM, and SIGKILL after the grace period of the compose file; its exit code, and the seconds it took."""
        service = self.inspect(name)["Config"]["Labels"]["com.docker.compose.service"]
        grace = str(stand_ins.services()[service]["stop_grace_period"]).removesuffix("s")
        began = time.monotonic()
        self.engine.podman("stop", "--time", grace, name)
        code, took = self.exit_code(name), time.monotonic() - began
        self.engine.podman("rm", name)
        return code, took

    def names(self, service: str, *, everything: bool = False) -> list[str]:
        """The containers of it that run, or all."""
        label = f"label=com.docker.compose.service={service}"
        more = ["--all"] if everything else []
        listed = self.engine.podman("ps", *more, "--filter", label, "--format", "{{.Names}}").stdout
        return sorted(listed.split())

    def one(self, service: str) -> str:
        """The only container of it."""
        (name,) = self.names(service, everything=True)
        return name

    def inspect(self, name: str) -> dict[str, Any]:
        """What podman knows of the container."""
        (found,) = json.loads(self.engine.podman("inspect", name).stdout)
        assert isinstance(found, dict)
        return found

    def exit_code(self, name: str) -> int:
        """That of a container that ended."""
        state = self.inspect(name)["State"]
        assert not state["Running"], name
        return int(state["ExitCode"])

    def sick(self, names: Iterable[str]) -> list[str]:
        """Those whose own health check fails now; two asked at a time, for each costs a busy machine a process."""
        asked = list(names)
        with ThreadPoolExecutor(2) as pool:
            codes = pool.map(lambda name: self.engine.podman("healthcheck", "run", name, check=False).returncode, asked)
            return [name for name, code in zip(asked, codes, strict=True) if code]

    def wait_until_healthy(self, *services: str, seconds: float = START_SECONDS) -> float:
        """Return once every container of these was healthy; how long that took."""
        began = time.monotonic()
        waited_for = [name for service in services for name in self.names(service, everything=True)]

        def all_were() -> bool:
            waited_for[:] = self.sick(waited_for)
            return not waited_for

        wait_for(all_were, seconds, why=lambda: "\n".join(map(self.why_sick, waited_for)))
        return time.monotonic() - began

    def why_sick(self, name: str) -> str:
        """What its health checks said of late, and the end of its log."""
        log = self.inspect(name)["State"].get("Health", {}).get("Log") or []
        checks = [f"{one['End']} exit {one['ExitCode']}: {one['Output'].strip()}" for one in log[-3:]]
        return "\n".join([self.tail_of(name), *checks])

    def python(self, name: str, code: str) -> str:
        """What a line of Python prints inside."""
        return self.engine.podman("exec", name, "python", "-c", code).stdout.strip()

    def megabytes(self, name: str) -> float:
        """Resident memory of the container's first process."""
        pid = self.inspect(name)["State"]["Pid"]
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        return int(status["VmRSS"].split()[0]) / 1024

    def answered(self) -> int:
        """How many pushes the door has answered 200."""
        return int(float(self.python(self.one("ingest"), _ANSWERED)))

    def reaches(self, name: str, host: str) -> bool:
        """Whether the container can open a connection there: podman's resolver loses a restarted name for a while."""
        return self.engine.podman("exec", name, "python", "-c", _REACH, host, check=False).returncode == 0

    def wait_until_reached(self, host: str) -> None:
        """Return once every role can open a connection there."""
        names = [name for service in ROLES for name in self.names(service)]
        wait_for(lambda: all(self.reaches(name, host) for name in names), RESOLVED_SECONDS, why=lambda: self.tail(host))

    def reconcile(self) -> subprocess.CompletedProcess[str]:
        """The operator's own command, in a container that runs."""
        return self.engine.podman("exec", self.one("park"), "callstitch", "reconcile", check=False)

    def tail(self, service: str) -> str:
        """The end of the logs of all its containers."""
        return "\n".join(map(self.tail_of, self.names(service, everything=True)))

    def tail_of(self, name: str) -> str:
        """The end of the log of one."""
        done = self.engine.podman("logs", "--tail", "15", name, check=False)
        return f"--- {name}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"


@contextmanager
def running(stack: Stack) -> Iterator[Stack]:
    """The whole stack, healthy; its containers, volumes and network go with the context."""
    try:
        stack.start()
        yield stack
    finally:
        stack.engine.close(keep_images=True)


def environ_of(status: str) -> Mapping[str, str]:
    """The lines of a /proc/PID/status."""
    return {name: value.strip() for name, _, value in (line.partition(":") for line in status.splitlines())}
