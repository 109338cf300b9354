"""A private RabbitMQ node from Debian's package: its own name, ports, data and port mapper, all on loopback.

It shares nothing with a RabbitMQ that runs on this machine for another reason, and never talks to one.
The version is this machine's (3.10 on Debian 12), or that of another suite of Debian (`tests.services.suite`).
`python -m tests.services.rabbitmq [SUITE]` runs one until it is interrupted, for work by hand.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pika
import pika.exceptions

from tests.services import debian, ports, suite

OUTSIDE: Final = "CALLSTITCH_TEST_AMQP"
CHOSEN: Final = "CALLSTITCH_TEST_RABBITMQ"
OLDEST: Final = os.environ.get(CHOSEN) or None  # this machine's: 3.10 on Debian 12
STABLE: Final = "trixie"  # the suite with RabbitMQ 4.0
NEWEST: Final = "forky"  # the suite with RabbitMQ 4.3
# What a test that depends on the version runs on, by the name in its id; one that is named from outside stands alone.
RELEASES: Final[Mapping[str, str | None]] = {"rabbitmq": OLDEST} | (
    {} if os.environ.get(OUTSIDE) or OLDEST else {"rabbitmq-4": NEWEST}
)
_PACKAGE = "rabbitmq-server"
_BIN = "/usr/lib/rabbitmq/bin"
_ERL_CALL = "/usr/lib/erlang/bin/erl_call"
_START_TIMEOUT_SECONDS = 100.0
_STOP_TIMEOUT_SECONDS = 30.0
_CTL_TIMEOUT_SECONDS = 60.0
_POLL_SECONDS = 0.1
_SHARED_VHOST = "shared"
_SETTINGS: Final[Mapping[str, object]] = {
    "default_vhost": _SHARED_VHOST,  # named, because clients disagree on how a URL spells the vhost "/"
    "log.file.level": "warning",
    "disk_free_limit.absolute": "50MB",
}


def install(release: str | None = None) -> suite.Suite | None:
    """Make sure that the package is there: this machine's, or that of a suite, which is returned.

    Raises:
        debian.Missing: it is not, and cannot be installed.
    """
    if release is not None:
        return suite.unpacked(release, _PACKAGE)
    debian.program(f"{_BIN}/rabbitmq-server", package=_PACKAGE)
    return None


@dataclass(frozen=True, kw_only=True)
class Mates:
    """What the nodes of a cluster have in common, and the name of one."""

    name: str
    cookie: str
    epmd_port: int


class RabbitMQ:
    """One node, started when built; `port` and the data stay the same over `stop`, `kill` and `start`.

    Raises:
        debian.Missing: the package is not installed and cannot be.
        RuntimeError: the node did not start in 100 seconds; the text ends with its log.
    """

    def __init__(
        self, release: str | None = None, *, settings: Mapping[str, object] | None = None, mates: Mates | None = None
    ) -> None:
        self._settings = {**_SETTINGS, **(settings or {})}
        self._suite = install(release)
        self.port = ports.free_port()
        self.home = Path(tempfile.mkdtemp(prefix="callstitch-rabbitmq-"))
        self.name = mates.name if mates else f"callstitch-{secrets.token_hex(4)}@localhost"
        self._cookie = mates.cookie if mates else secrets.token_hex(16)
        self._epmd_port = mates.epmd_port if mates else ports.free_port()
        self._env = self._environment()
        self._write_files()
        # One port mapper serves a cluster: that of whoever comes first; the others' find the port taken and end.
        self._epmd = self._spawn("epmd", "-port", str(self._epmd_port), "-address", "127.0.0.1")
        self._server: subprocess.Popen[bytes] | None = None
        try:
            self.launch()
            if mates is None:  # else they wait for each other
                self.wait()
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        """The AMQP URL of the vhost that is always there."""
        return self._url(_SHARED_VHOST)

    @property
    def running(self) -> bool:
        """Whether it was started and not ended."""
        return self._server is not None

    def start(self) -> None:
        """Start it, again on the same port and data; returns when it takes connections."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start it; `wait` returns when it takes connections."""
        if self._server is not None:
            raise RuntimeError("this node runs already")
        self._server = self._spawn(f"{_BIN}/rabbitmq-server")

    def wait(self) -> None:
        """Return when it takes connections.

        Raises:
            RuntimeError: it did not in 100 seconds.
        """
        assert self._server is not None
        deadline = time.monotonic() + _START_TIMEOUT_SECONDS
        while not self._ready():
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"RabbitMQ did not start:\n{self._log_tail()}")
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """End it in order, as `systemctl stop` does."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, in the middle of whatever it does.

        RabbitMQ 3.10 writes the directory of its quorum queues up to a second late: a queue declared just before a
        kill would be unusable ever after (tried; basic.get times out). That is not what our tests are about, so
        the directory is written first. Messages get no such help.
        """
        self.eval("[dets:sync(Table) || Table <- dets:all()].")
        self._end(signal.SIGKILL)

    def close(self) -> None:
        """End it for good, its port mapper too, and delete its data. Harmless when done twice."""
        self._end(signal.SIGKILL)
        _end(self._epmd, signal.SIGKILL)
        shutil.rmtree(self.home, ignore_errors=True)

    def ctl(self, *arguments: str) -> str:
        """What `rabbitmqctl` prints for these arguments; takes a second or two.

        Raises:
            subprocess.CalledProcessError: it failed.
        """
        return self._run([f"{_BIN}/rabbitmqctl", "--quiet", *arguments])

    @property
    def major_minor(self) -> tuple[int, int]:
        """Its version."""
        major, minor, *_ = self.eval("rabbit_misc:version().").strip('"').split(".")
        return int(major), int(minor)

    def eval(self, expressions: str) -> str:
        """Evaluate Erlang inside the node (as `rabbitmqctl eval` does, in milliseconds); returns the value as text.

        Raises:
            RuntimeError: it raised; the text is the node's answer.
        """
        answer = self._run([_ERL_CALL, "-sname", self.name, "-c", self._cookie, "-e"], stdin=f"{expressions.strip()}\n")
        if not answer.startswith("{ok, "):
            raise RuntimeError(answer)
        return answer.removeprefix("{ok, ").removesuffix("}")

    def make_vhost(self) -> str:
        """The URL of a new, empty vhost."""
        name = f"t-{secrets.token_hex(4)}"
        self.eval(f"""
            ok = rabbit_vhost:add(<<"{name}">>, <<"tests">>),
            ok = rabbit_auth_backend_internal:set_permissions(
                <<"guest">>, <<"{name}">>, <<".*">>, <<".*">>, <<".*">>, <<"tests">>).""")
        return self._url(name)

    def delete_vhost(self, url: str) -> None:
        """Delete the vhost of that URL, its queues and connections with it."""
        self.eval(f'rabbit_vhost:delete(<<"{url.rpartition("/")[2]}">>, <<"tests">>).')

    def _url(self, vhost: str) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/{vhost}"

    def _run(self, command: list[str], *, stdin: str = "") -> str:
        done = subprocess.run(
            self._inside(*command),
            env=self._env,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=_CTL_TIMEOUT_SECONDS,
            check=True,
        )
        return done.stdout

    def _spawn(self, *command: str) -> subprocess.Popen[bytes]:
        with (self.home / "output").open("ab") as output:
            return subprocess.Popen(
                [*debian.dies_with_us(), *self._inside(*command)],
                env=self._env,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C belongs to pytest, which ends the node itself
            )

    def _inside(self, *command: str) -> list[str]:
        return self._suite.command(*command) if self._suite else list(command)

    def _ready(self) -> bool:
        if not ports.answers(self.port):
            return False
        try:
            pika.BlockingConnection(pika.URLParameters(self.url)).close()
        except pika.exceptions.AMQPError:
            return False
        return True

    def _end(self, sign: signal.Signals) -> None:
        if self._server is not None:
            _end(self._server, sign)
        self._server = None

    def _log_tail(self) -> str:
        logs = [self.home / "output", *sorted(self.home.glob("log/*.log"))]
        return "\n".join(path.read_text(errors="replace")[-1500:] for path in logs)

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("RABBITMQ_", "ERL_"))}
        home = str(self.home)
        return inherited | {
            "HOME": home,  # the cookie is read from here
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(ports.free_port()),
            "RABBITMQ_MNESIA_BASE": f"{home}/data",
            "RABBITMQ_LOG_BASE": f"{home}/log",
            "RABBITMQ_CONFIG_FILE": f"{home}/rabbitmq.conf",
            "RABBITMQ_CONF_ENV_FILE": f"{home}/rabbitmq-env.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{home}/enabled_plugins",
            "RABBITMQ_PID_FILE": f"{home}/pid",
            # The start script waits in front of the node unless input is allowed; with these two the process
            # that we start is the node itself, so that a signal to it reaches the node.
            "RABBITMQ_ALLOW_INPUT": "1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-noinput +sbwt none -kernel inet_dist_use_interface {127,0,0,1}",
        }

    def _write_files(self) -> None:
        cookie = self.home / ".erlang.cookie"
        cookie.write_text(self._cookie)
        cookie.chmod(0o400)
        (self.home / "enabled_plugins").write_text("[].\n")
        (self.home / "rabbitmq-env.conf").touch()
        (self.home / "rabbitmq.conf").write_text("".join(f"{key} = {value}\n" for key, value in self._settings.items()))


def _end(process: subprocess.Popen[bytes], sign: signal.Signals) -> None:
    process.send_signal(sign)
    try:
        process.wait(_STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main() -> None:
    """Run a node until this process is interrupted."""
    node = RabbitMQ(*sys.argv[1:2])
    print(f"CALLSTITCH_TEST_AMQP={node.url}", flush=True)  # noqa: T201 - the caller reads it
    with suppress(KeyboardInterrupt):
        signal.pause()
    node.close()


if __name__ == "__main__":
    main()
