"""The servers that everybody is measured on: a private RabbitMQ node and PostgreSQL cluster, both of which fsync."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from tests.services import debian, postgresql, rabbitmq

GO: Final = "/usr/bin/go"
_LIBRARY: Final = "/usr/include/amqp.h"
_GO_LIBRARIES: Final = {
    "/usr/share/gocode/src/github.com/rabbitmq/amqp091-go/types.go": "golang-github-rabbitmq-amqp091-go-dev",
    "/usr/share/gocode/src/github.com/lib/pq/conn.go": "golang-github-lib-pq-dev",
}


class Node(rabbitmq.RabbitMQ):
    """The tests' node, with the plugin for AMQP 1.0, which one peer speaks."""

    @property
    def pid(self) -> int:
        """Of the node."""
        assert self._server is not None
        return self._server.pid

    @property
    def version(self) -> str:
        """Of RabbitMQ."""
        return self.eval("element(2, application:get_key(rabbit, vsn)).").strip('"')

    def wait(self) -> None:
        """As the tests' node; clients of AMQP 1.0 then find the vhost that `url` names."""
        super().wait()
        vhost = self.url.rpartition("/")[2]
        self.eval(f'application:set_env(rabbitmq_amqp1_0, default_vhost, <<"{vhost}">>).')

    def make_vhost(self) -> str:
        """One in which a queue declared without a type is a quorum queue: one peer declares what it reads so."""
        url = super().make_vhost()
        quorum = 'fun(Metadata) -> Metadata#{default_queue_type => <<"quorum">>} end'
        change = f'rabbit_vhost:update_metadata(<<"{url.rpartition("/")[2]}">>, {quorum})'
        self.eval(f"rabbit_misc:execute_mnesia_transaction(fun() -> {change} end).")
        return url

    def _write_files(self) -> None:
        super()._write_files()
        (self.home / "enabled_plugins").write_text("[rabbitmq_amqp1_0].\n")


class Cluster(postgresql.PostgreSQL):
    """The tests' cluster does not fsync; this one does, with everything else as Debian brings it."""

    @property
    def pid(self) -> int:
        """Of the postmaster, the parent of all its processes."""
        assert self._server is not None
        return self._server.pid

    @property
    def version(self) -> str:
        """As `postgres --version` tells it."""
        told = subprocess.run([self._bin / "postgres", "--version"], capture_output=True, text=True, check=True)
        return told.stdout.strip()

    def _spawn(self) -> subprocess.Popen[bytes]:
        settings = ("-c", "listen_addresses=127.0.0.1", "-c", "fsync=on", "-k", str(self._home))
        with (self._home / "log").open("ab") as log:
            return subprocess.Popen(
                [
                    *debian.dies_with_us(),
                    *(str(self._bin / "postgres"), "-D", f"{self._home}/data", "-p", str(self.port), *settings),
                ],
                cwd=self._home,
                user=self.owner,
                group=self.owner,
                extra_groups=[] if self.owner else None,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


def wrk() -> Path:
    """The load generator of the ingest case.

    Raises:
        debian.Missing: it is not installed and cannot be.
    """
    return debian.program("/usr/bin/wrk", package="wrk")


def limit(directory: Path) -> Path:
    """The C client, compiled into `directory`.

    Raises:
        debian.Missing: there is no compiler or no librabbitmq, and they cannot be installed.
    """
    debian.program(_LIBRARY, package="librabbitmq-dev")
    compiler = shutil.which("cc") or str(debian.program("/usr/bin/gcc", package="gcc"))
    source, program = Path(__file__).with_name("limit.c"), directory / "limit"
    subprocess.run([compiler, "-O2", "-o", str(program), str(source), "-lrabbitmq"], check=True)
    return program


def go_peer(directory: Path) -> Path:
    """The peer in Go, compiled into `directory` against Debian's packages of its libraries: nothing is downloaded.

    Raises:
        debian.Missing: there is no compiler or no library, and they cannot be installed.
    """
    debian.programs({GO: "golang-go", **_GO_LIBRARIES})
    program, source = directory / "go-peer", Path(__file__).with_name("peers") / "peer.go"
    environ = {
        **os.environ,
        "GO111MODULE": "off",
        "GOPATH": "/usr/share/gocode",
        "GOCACHE": str(directory / "go-cache"),
    }
    built = subprocess.run(
        [GO, "build", "-o", str(program), str(source)], env=environ, capture_output=True, text=True, check=False
    )
    if built.returncode:
        raise debian.Missing(f"go build failed: {built.stderr.strip()[-400:]}")
    return program
