"""A private PgBouncer from Debian's package in front of a private PostgreSQL cluster."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.services import debian, ports
from tests.services.postgresql import PostgreSQL

SESSIONS: Final = 2  # fewer than clients, so that they really share
_PROGRAM: Final = "/usr/sbin/pgbouncer"
_START_SECONDS: Final = 20.0
_STOP_SECONDS: Final = 10.0


def install() -> Path:
    """The program of Debian's package.

    Raises:
        debian.Missing: it is not there, and cannot be installed.
    """
    return debian.program(_PROGRAM, package="pgbouncer")


class PgBouncer:
    """One that lends `SESSIONS` sessions by transaction, or as `mode` says, to any number of clients.

    `ignoring`: startup parameters that it takes and keeps to itself, where it would refuse the client.
    """

    def __init__(self, program: Path, server: PostgreSQL, *, mode: str = "transaction", ignoring: str = "") -> None:
        self.port = ports.free_port()
        self._home = Path(tempfile.mkdtemp(prefix="callstitch-pgbouncer-"))
        (self._home / "users").write_text('"callstitch" ""\n')
        (self._home / "pgbouncer.ini").write_text(
            f"[databases]\n* = host=127.0.0.1 port={server.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
            f"listen_port = {self.port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {self._home}/users\n"
            f"pool_mode = {mode}\ndefault_pool_size = {SESSIONS}\nignore_startup_parameters = {ignoring}\n"
        )
        if server.owner:  # it refuses to run as root
            for path in (self._home, *self._home.iterdir()):
                shutil.chown(path, server.owner, server.owner)
        with (self._home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*debian.dies_with_us(), str(program), str(self._home / "pgbouncer.ini")],
                user=server.owner,
                group=server.owner,
                extra_groups=[] if server.owner else None,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not ports.answers(self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PgBouncer did not start:\n{(self._home / 'log').read_text()[-1500:]}")
            time.sleep(0.05)

    def close(self) -> None:
        """End it for good."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._home, ignore_errors=True)
