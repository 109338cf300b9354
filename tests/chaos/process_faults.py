"""What happens to our own processes and their machine."""

from __future__ import annotations

import resource
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from tests.chaos.kept import Kept
from tests.chaos.scene import Log, Scene, Seen, probe, wait
from tests.e2e.programs import Role, request

DOOR_FREEZE_SECONDS: Final = 8.0  # the platform gives a push up that nobody answers for longer
# The webhook's receiver checks the time of each signature, so its sender's clock stays right, and so does that of `up`
# but for jumps: a process tells time by the wall clock at its start.
HOURS_WRONG: Final[Mapping[str, float]] = {
    "ingest": 2,
    "dedupe": 25,
    "correlate": -3,
    "fetch_recording": 7,
    "park": 5,
    "fan_out.file": -1,
    "up": 3,
}
FILES: Final = 64  # descriptors of a door that has few
IDLE: Final = 150
_SPARE_CONNECTIONS: Final = 20
_TERM_SECONDS: Final = 60.0


def targets(scene: Scene, name: str) -> list[Kept]:
    """One role, or all workers."""
    if name != "workers":
        return [scene.roles[name]]
    return [kept for role, kept in scene.roles.items() if role != "ingest"]


@contextmanager
def standing_still(*roles: Kept) -> Iterator[None]:
    """None of them does anything (SIGSTOP)."""
    for kept in roles:
        kept.role.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for kept in roles:
            kept.role.process.send_signal(signal.SIGCONT)


@contextmanager
def frozen(scene: Scene, name: str) -> Iterator[Seen]:
    """They stand still for up to a minute, and wake up with everything that they believed before."""
    roles = targets(scene, name)

    def seen() -> str:
        if any(probe(kept.role) is not None for kept in roles):
            return ""
        return "stopped, no answer" if all(_state(kept.role) == "T" for kept in roles) else ""

    with standing_still(*roles):
        # before anybody looks: a long run's minute is longer than a fault may take to be seen
        time.sleep(min(scene.longest, DOOR_FREEZE_SECONDS) if name == "ingest" else scene.longest)
        yield seen


@contextmanager
def clock_skewed(scene: Scene, name: str) -> Iterator[Seen]:
    """The wall clock is hours wrong; roles that are one of many are restarted in it, so that they believe it."""
    roles = {role: clock for role, clock in scene.clocks.items() if scene.roles[role] in targets(scene, name)}
    logs = {role: Log(scene.roles[role].role) for role in roles}

    def seen() -> str:
        if "up" in roles:
            request(scene.door.listen, "POST", "/v1/nobody/nothing")  # a refusal is a line in its log
        return "the log tells another hour" if all(_is_wrong(logs[role], HOURS_WRONG[role]) for role in roles) else ""

    try:
        for role, clock in roles.items():
            clock.set_wrong(by=timedelta(hours=HOURS_WRONG[role]))
        _restart_unless_alone(scene, roles)
        yield seen
    finally:
        for clock in roles.values():
            clock.set_wrong(by=timedelta())
        _restart_unless_alone(scene, roles)


def _restart_unless_alone(scene: Scene, names: Mapping[str, object]) -> None:
    scene.restart(*(scene.roles[name] for name in names if name != "up"))


def _is_wrong(log: Log, hours: float) -> bool:
    expected = datetime.now(UTC) + timedelta(hours=hours)
    return any(abs(told - expected) < timedelta(minutes=10) for told in log.times())


@contextmanager
def disk_full(scene: Scene, _: str) -> Iterator[Seen]:
    """Not a byte more fits where the roles write."""
    assert scene.disk is not None
    disk = scene.disk
    writer = scene.roles["up" if "up" in scene.roles else "fan_out.file"].role
    with disk.full():
        yield lambda: f"no room, /readyz 503: {writer.name}" if probe(writer) == 503 else ""


@contextmanager
def descriptors_short(scene: Scene, name: str) -> Iterator[Seen]:
    """The door starts with few descriptors and has many idle guests; or a running role is left without a free one."""
    with ExitStack() as cleaning:
        if name in ("ingest", "up"):
            yield _few_from_the_start(scene, scene.roles[name], cleaning)
        else:
            yield _none_left(scene.roles[name].role, cleaning)
        cleaning.close()
    wait(scene.roles[name].role.is_ready, f"{name} ready with descriptors again")


def _few_from_the_start(scene: Scene, kept: Kept, cleaning: ExitStack) -> Seen:
    kept.files = FILES
    scene.restart(kept)

    def again() -> None:
        kept.files = None
        scene.restart(kept)

    cleaning.callback(again)
    guests = [cleaning.enter_context(_guest(scene.door.listen)) for _ in range(IDLE)]

    def seen() -> str:
        refused = sum(_is_over(guest) for guest in guests)
        alive = probe(kept.role, "/livez") == 200
        return f"{IDLE} guests with {FILES} descriptors, some turned away, /livez 200" if refused and alive else ""

    return seen


def _none_left(role: Role, cleaning: ExitStack) -> Seen:
    pid = role.process.pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    open_ones = [int(path.name) for path in Path(f"/proc/{pid}/fd").iterdir()]
    cleaning.callback(lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard)))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (max(open_ones) + 1, hard))
    for _ in range(max(open_ones) + 1 - len(open_ones) + _SPARE_CONNECTIONS):
        cleaning.enter_context(_guest(role.admin))
    return lambda: "no descriptor left, no answer" if probe(role) is None else ""


def _guest(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    guest = socket.create_connection((host, int(port)), timeout=5)
    guest.setblocking(False)
    return guest


def _is_over(guest: socket.socket) -> bool:
    try:
        return guest.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


@contextmanager
def rolling_restart(scene: Scene, _: str) -> Iterator[Seen]:
    """Everybody in turn, as an orchestrator rolls out a version: each waits until the one before is ready."""
    for kept in scene.roles.values():
        scene.restart(kept)
    yield lambda: f"{len(scene.roles)} roles restarted in turn"


@contextmanager
def scaled(scene: Scene, name: str) -> Iterator[Seen]:
    """One worker more, then the new one alone, then both, then the first one alone."""
    first, second = scene.roles[name], scene.worker(f"{name}.more", name)
    second.start(ready=False)
    try:
        second.wait_until_ready(_TERM_SECONDS)
        proof = _Handled(second, name)
        yield proof
        scene.restart(first, away=2.0)
    finally:
        if (code := second.terminate(_TERM_SECONDS)) != 0:
            scene.exits.append(f"{second.name} ended with exit code {code} on SIGTERM")


class _Handled:
    def __init__(self, role: Role, name: str) -> None:
        self._role = role
        self._line = f'callstitch_handled_total{{stage="{name}"}}'

    def __call__(self) -> str:
        """What the new one did."""
        for line in request(self._role.admin, "GET", "/metrics").body.decode().splitlines():
            if line.startswith(self._line) and float(line.rpartition(" ")[2]) > 0:
                return "the new one works"
        return ""


def _state(role: Role) -> str:
    return Path(f"/proc/{role.process.pid}/stat").read_text().rpartition(")")[2].split()[0]
