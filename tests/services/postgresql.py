"""A private PostgreSQL cluster from Debian's package: its own data and port, on loopback only; a standby of one too."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from tests.services import debian, ports

_PACKAGE = "postgresql"
_PROGRAMS = "/usr/lib/postgresql/*/bin/postgres"
_START_TIMEOUT_SECONDS = 60.0
_STOP_TIMEOUT_SECONDS = 30.0
_COMMAND_TIMEOUT_SECONDS = 60.0
_POLL_SECONDS = 0.05


def install() -> None:
    """Make sure that the package is there.

    Raises:
        debian.Missing: it is not, and cannot be installed.
    """
    debian.program(_PROGRAMS, package=_PACKAGE)


class PostgreSQL:
    """One cluster, started when built; `port` and the data stay the same over `stop`, `kill` and `start`.

    It does not fsync: it keeps its promises when its processes are killed, not when the machine is.
    `following`: the primary that it is a standby of. `settings` are the server's own; `files`, by name, lie beside its
    data, which is where it runs.

    Raises:
        debian.Missing: the package is not installed and cannot be.
        RuntimeError: it did not start in a minute; the text ends with its log.
    """

    def __init__(
        self,
        *,
        following: PostgreSQL | None = None,
        settings: Mapping[str, str] | None = None,
        files: Mapping[str, Path] | None = None,
    ) -> None:
        self._settings = settings or {}
        self._bin = debian.program(_PROGRAMS, package=_PACKAGE).parent
        self.port = ports.free_port()
        # PostgreSQL refuses to run as root; its package brings the user that it runs as.
        self.owner = "postgres" if os.geteuid() == 0 else None
        self._home = Path(tempfile.mkdtemp(prefix="callstitch-postgresql-"))
        if self.owner:
            shutil.chown(self._home, self.owner, self.owner)
        self._server: subprocess.Popen[bytes] | None = None
        try:
            self._make(following)
            for name, file in (files or {}).items():
                self._take(file, self._home / "data" / name)
            self.start()
        except BaseException:
            self.close()
            raise

    def start(self) -> None:
        """Start it, again on the same port and data; returns when it takes connections."""
        if self._server is not None:
            raise RuntimeError("this cluster runs already")
        self._server = self._spawn()
        deadline = time.monotonic() + _START_TIMEOUT_SECONDS
        while not self._ready():
            if self._server.poll() is not None or time.monotonic() > deadline:
                log = (self._home / "log").read_text(errors="replace")
                raise RuntimeError(f"PostgreSQL did not start:\n{log[-1500:]}")
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """End it in order (a "fast" shutdown)."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End it without a checkpoint (an "immediate" shutdown): the next start recovers as after a crash."""
        self._end(signal.SIGQUIT)

    def crash(self) -> None:
        """End it as a power cut would (SIGKILL)."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop all its processes where they are."""
        self._to_all(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let them go on."""
        self._to_all(signal.SIGCONT)

    def promote(self) -> None:
        """Make a standby the primary; returns when it takes writes."""
        self._run("pg_ctl", "promote", "-D", f"{self._home}/data", "-w")

    def sql(self, *statements: str) -> None:
        """Run these as the superuser, each by itself."""
        for statement in statements:
            self._run("psql", *self._at(), "-d", "postgres", "-v", "ON_ERROR_STOP=1", "-c", statement)

    def close(self) -> None:
        """End it for good and delete its data. Harmless when done twice."""
        self.thaw()
        self._end(signal.SIGQUIT)
        shutil.rmtree(self._home, ignore_errors=True)

    def make_database(self) -> str:
        """The DSN of a new, empty database."""
        name = f"t_{secrets.token_hex(4)}"
        self._run("createdb", *self._at(), name)
        return f"postgresql://callstitch@127.0.0.1:{self.port}/{name}"

    def delete_database(self, dsn: str) -> None:
        """Delete the database of that DSN, ending whatever is connected to it."""
        self._run("dropdb", *self._at(), "--force", dsn.rpartition("/")[2])

    def _make(self, following: PostgreSQL | None) -> None:
        data = ("-D", f"{self._home}/data", "--no-sync")
        if following is None:
            self._run("initdb", *data, "-U", "callstitch", "-A", "trust", "-E", "UTF8")
        else:
            self._run("pg_basebackup", *following._at(), *data, "-R", "-c", "fast")

    def _take(self, file: Path, place: Path) -> None:
        shutil.copyfile(file, place)
        place.chmod(0o600)
        if self.owner:
            shutil.chown(place, self.owner, self.owner)

    def _to_all(self, sign: signal.Signals) -> None:
        """The server, and its children, each of which leads a session of its own."""
        if self._server is None or self._server.poll() is not None:
            return
        pid = self._server.pid
        for one in (pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())):
            os.kill(one, sign)

    def _at(self) -> tuple[str, ...]:
        return ("-h", "127.0.0.1", "-p", str(self.port), "-U", "callstitch")

    def _ready(self) -> bool:
        if not ports.answers(self.port):
            return False
        try:
            self._run("pg_isready", *self._at())
        except subprocess.CalledProcessError:
            return False
        return True

    def _run(self, name: str, *arguments: str) -> None:
        subprocess.run(
            [str(self._bin / name), *arguments],
            cwd=self._home,
            env=_environment(),
            user=self.owner,
            group=self.owner,
            extra_groups=[] if self.owner else None,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_COMMAND_TIMEOUT_SECONDS,
            check=True,
        )

    def _spawn(self) -> subprocess.Popen[bytes]:
        ours = {"listen_addresses": "127.0.0.1", "fsync": "off", **self._settings}
        settings = [
            *(word for name, value in ours.items() for word in ("-c", f"{name}={value}")),
            "-k",
            str(self._home),
        ]
        with (self._home / "log").open("ab") as log:
            return subprocess.Popen(
                [
                    *debian.dies_with_us(),
                    str(self._bin / "postgres"),
                    *("-D", f"{self._home}/data", "-p", str(self.port), *settings),
                ],
                cwd=self._home,
                env=_environment(),
                user=self.owner,
                group=self.owner,
                extra_groups=[] if self.owner else None,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C belongs to pytest, which ends the cluster itself
            )

    def _end(self, sign: signal.Signals) -> None:
        if self._server is None:
            return
        self._server.send_signal(sign)
        try:
            self._server.wait(_STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._server = None


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}
