"""What the hard faults act on, and what shows that they struck."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Final

from tests.chaos.disk import Disk
from tests.chaos.fault import Fault
from tests.chaos.kept import Kept
from tests.e2e.programs import Program, Role, request
from tests.e2e.running import Up
from tests.services.faketime import WallClock
from tests.services.rabbitmq import RabbitMQ

LOOK_SECONDS: Final = 1.0  # a role that does not answer its probe by then does not answer
DECLARE_SECONDS: Final = 120.0
BACK_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 0.05

Seen = Callable[[], str]  # what was seen of a fault so far; empty: nothing yet


@dataclass(frozen=True, kw_only=True)
class Scene:
    """The whole stack from the side of whoever hurts it; the URLs lead past every proxy and have every right."""

    door: Up
    roles: Mapping[str, Kept]
    worker: Callable[[str, str], Role]  # another worker, by its own name and the name of a role to be like
    longest: float  # seconds that a role stands still at most
    exits: list[str]  # whatever did not end as it should
    node: RabbitMQ | None = None
    vhost: str = ""
    database: str = ""
    disk: Disk | None = None
    clocks: Mapping[str, WallClock] = field(default_factory=dict)

    @property
    def broker(self) -> RabbitMQ:
        """The node, on a stack that has one."""
        assert self.node is not None
        return self.node

    def declare(self) -> None:
        """`callstitch declare`, as an operator would."""
        declare(self.door)

    def restart(self, *roles: Kept, away: float = 0.0) -> None:
        """SIGTERM to all of them at once, and return once each is ready again."""
        before = {kept.role.name: kept.role.process.pid for kept in roles}
        for kept in roles:
            fault = Fault(at=0, kind="term", how="term", target=kept.role.name, away=away)
            wait(partial(kept.hit, fault), f"{kept.role.name} to be up")
        for kept in roles:
            wait(partial(_is_another, kept.role, before[kept.role.name]), f"{kept.role.name} to be ready again")


def _is_another(role: Role, pid: int) -> bool:
    return role.process.pid != pid and role.is_ready()


def declare(door: Up) -> None:
    """Run `callstitch declare` with that config; it has to succeed."""
    program = Program(
        arguments=("declare", "--config", "config.toml"), directory=door.directory, environ=door.environ, name="declare"
    )
    program.start()
    if program.wait(DECLARE_SECONDS) != 0:
        raise RuntimeError(program.tail())


def wait(until: Callable[[], bool], what: str, seconds: float = BACK_SECONDS) -> None:
    """Return once it is so.

    Raises:
        RuntimeError: it never was; that is the kit's trouble.
    """
    deadline = time.monotonic() + seconds
    while not until():
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {seconds:g} s in vain for {what}")
        time.sleep(_POLL_SECONDS)


def probe(role: Role, path: str = "/readyz") -> int | None:
    """The status that its admin port answers; None: no answer."""
    try:
        return request(role.admin, "GET", path, seconds=LOOK_SECONDS).status
    except (OSError, http.client.HTTPException):
        return None


class Unready:
    """Seen once each of these roles said of itself that it is not ready."""

    def __init__(self, scene: Scene, *names: str) -> None:
        self._roles = {name: scene.roles[name].role for name in names}
        self._said: set[str] = set()

    def __call__(self) -> str:
        """Ask those that did not say it yet."""
        for name in self._roles.keys() - self._said:
            if probe(self._roles[name]) == 503:
                self._said.add(name)
        return f"/readyz 503: {', '.join(sorted(self._said))}" if len(self._said) == len(self._roles) else ""


class Logged:
    """Seen once each of these roles logged an event of that name since this was made."""

    def __init__(self, scene: Scene, event: str, *names: str) -> None:
        self._event = event
        self._logs = {name: Log(scene.roles[name].role) for name in names}

    def __call__(self) -> str:
        """Read on."""
        self._logs = {name: log for name, log in self._logs.items() if self._event not in log.events()}
        return "" if self._logs else f"{self._event} in every log"


class Log:
    """What a role logs from now on."""

    def __init__(self, role: Role) -> None:
        self._path = role.log_file
        self._from = self._path.stat().st_size

    def lines(self) -> Iterator[dict[str, str]]:
        """Each whole line of it."""
        with self._path.open("rb") as log:
            log.seek(self._from)
            for line in log:
                if line.startswith(b"{") and line.endswith(b"}\n"):
                    yield json.loads(line)

    def events(self) -> set[str]:
        """The names."""
        return {line.get("event", "") for line in self.lines()}

    def times(self) -> Iterator[datetime]:
        """The wall clock by which each line was written."""
        for line in self.lines():
            if stamp := line.get("timestamp"):
                yield datetime.fromisoformat(stamp).astimezone(UTC)
