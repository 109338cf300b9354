"""Several processes of one role under one supervisor: `callstitch ingest --processes N`, `work STAGE --processes N`.

A member is the same command again, with `--member SOCKET`: its admin port is that socket, and the supervisor answers
for all of them at the address of the config (see `console.group.admin`). A supervisor touches neither broker nor store.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import structlog

from console.app import EXIT_CONFIG, EXIT_UNAVAILABLE
from console.group.admin import serve_group_admin
from console.reload.reloading import Reloading
from console.roles import BoundRole
from runtime import drain
from runtime.tasks import watched
from schemas.errors import Misconfigured, Unavailable
from workers.config import Config
from workers.process import ROLES

log = structlog.get_logger()

FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 30.0
SETTLED_SECONDS: Final = 60.0  # a member that lived as long begins with the first pause again


def role_in_group(
    config: Config,
    stage: str | None,
    make: Callable[[Config], BoundRole],
    *,
    processes: int,
    member: Path | None,
    reloading: Reloading,
    sink: str | None = None,
) -> BoundRole:
    """What this process has to do: the role alone, the supervision of `processes` of it, or the part of one `member`.

    Raises:
        Misconfigured: see refuse_several.
    """
    if processes == 1:
        return make(config)
    refuse_several(config, stage, sink=sink)
    if member is None:
        return group_role(config, processes, reloading)
    _name_in_logs(member.name)
    admin = config.ingest.model_copy(update={"admin": f"unix:{member}"})
    return as_member(make(config.model_copy(update={"ingest": admin})))


def refuse_several(config: Config, stage: str | None, *, sink: str | None) -> None:
    """Refuse a role that only one process at a time can play on this config; `stage` None is the door.

    Raises:
        Misconfigured: a file that one process owns stands in the way, and which.
    """
    if config.broker.embedded:
        raise Misconfigured(
            "--processes: the embedded broker allows one process only; several need RabbitMQ (amqp://...)"
        )
    rows = ROLES[stage] if stage is not None else ()
    if any(row.owns_state for row in rows) and not config.store.shared:
        raise Misconfigured(
            f"--processes: with sqlite:DIR one process owns the state of {stage}; several need postgresql://..."
        )
    alone = [f'the {one.kind} sink "{one.name}"' for one in config.sink if one.one_process and sink in (None, one.name)]
    if any(row.parts == "sink" for row in rows) and alone:
        raise Misconfigured(f"--processes: only one process can write to {', '.join(alone)}")


def group_role(config: Config, processes: int, reloading: Reloading) -> BoundRole:
    """So many processes of the command that runs now, started again when they die, and drained together.

    Each sees for itself that its config changed; that somebody asks is passed on to all.

    It raises Misconfigured when a member ends with 78, and Unavailable when one ends with 69 at its first start.
    """

    async def role(stopping: asyncio.Event) -> None:
        with _directory() as directory:
            patience = drain.MEMBER + config.ingest.drain_delay.total_seconds()
            members = [Member(directory / str(number), patience) for number in range(1, processes + 1)]
            sockets = [member.socket for member in members]
            async with (
                serve_group_admin(config.ingest.admin, sockets) as starts,
                watched(_pass_on(members, reloading)),
            ):
                await _keep_running(members, stopping, starts)

    return role


async def _pass_on(members: Sequence[Member], reloading: Reloading) -> None:
    while True:
        await reloading.until_asked()
        for member in members:
            member.ask()


async def _keep_running(members: Sequence[Member], stopping: asyncio.Event, starts: Callable[[str], None]) -> None:
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(member.keep_running(starts)) for member in members]
        await stopping.wait()
        for task in running:
            task.cancel()


@contextmanager
def _directory() -> Iterator[Path]:
    """Of the members' sockets, for our user only."""
    try:
        made = tempfile.TemporaryDirectory(prefix="callstitch-")
    except OSError as error:
        raise Misconfigured(f"--processes: no directory for the members' sockets (TMPDIR): {error.strerror}") from None
    with made as directory:
        yield Path(directory)


class Member:
    """One process of the group; it is killed when it takes longer than `patience` seconds to drain."""

    def __init__(self, socket: Path, patience: float) -> None:
        self.socket = socket
        self._patience = patience
        self._process: asyncio.subprocess.Process | None = None

    @property
    def name(self) -> str:
        """As logs and metrics call it: 1, 2, ..."""
        return self.socket.name

    def ask(self) -> None:
        """Have it read its config again; one that is not running, or not yet, reads it when it starts.

        It has its socket once it minds the signal, which would end it before.
        """
        if self._process is not None and self.socket.exists():
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGHUP)

    async def keep_running(self, starts: Callable[[str], None]) -> None:
        """Start it, and again whenever it ends, until cancelled; then it is drained.

        Raises:
            Misconfigured, Unavailable: see group_role.
        """
        pause, first = FIRST_PAUSE_SECONDS, True
        while True:
            starts(self.name)
            began = time.monotonic()
            code = await self._run()
            self._raise_what_no_start_mends(code, first=first)
            if time.monotonic() - began > SETTLED_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            log.error("process.died", process=self.name, code=code, again_in_seconds=pause)
            await asyncio.sleep(pause)
            pause, first = min(2 * pause, LONGEST_PAUSE_SECONDS), False

    def _raise_what_no_start_mends(self, code: int, *, first: bool) -> None:
        why = f"process {self.name} ended with code {code}; its own line above says why"
        if code == EXIT_CONFIG:
            raise Misconfigured(why)
        if code == EXIT_UNAVAILABLE and first:
            raise Unavailable(why)

    async def _run(self) -> int:
        """From start to end; its exit code.

        Our end of its input closes when we die, however we die: then it drains. Ctrl-C is for us alone.
        """
        self.socket.unlink(missing_ok=True)  # of one that was killed
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *sys.orig_argv[1:], "--member", str(self.socket)),
            stdin=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        log.info("process.started", process=self.name, pid=process.pid)
        self._process = process
        try:
            return await process.wait()
        finally:
            self._process = None
            if process.returncode is None:
                await _end(process, self._patience)


async def _end(process: asyncio.subprocess.Process, patience: float) -> None:
    """SIGTERM, and SIGKILL for one that is still there when the time to drain is over."""
    process.terminate()
    try:
        async with asyncio.timeout(patience):
            await process.wait()
    except TimeoutError:
        log.warning("process.not_drained", pid=process.pid)
    except asyncio.CancelledError:
        await asyncio.sleep(drain.KILLED)
        raise
    finally:
        with suppress(ProcessLookupError):
            process.kill()


def _name_in_logs(process: str) -> None:
    """From now on each line tells which member wrote it."""
    processors = structlog.get_config()["processors"]
    structlog.configure(processors=[lambda _, __, row: {**row, "process": process}, *processors])


def as_member(role: BoundRole) -> BoundRole:
    """The role, which also drains once its supervisor is gone."""

    async def watched(stopping: asyncio.Event) -> None:
        loop, supervisor = asyncio.get_running_loop(), sys.stdin.fileno()

        def gone() -> None:  # nobody ever writes: readable means closed
            loop.remove_reader(supervisor)
            log.warning("process.supervisor_gone")
            stopping.set()

        loop.add_reader(supervisor, gone)
        try:
            await role(stopping)
        finally:
            loop.remove_reader(supervisor)

    return watched
