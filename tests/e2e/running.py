"""`callstitch up` and the emulator as real processes, on free ports, in a directory of their own."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from console.demo.check import Truth, read_events, read_truth
from tests.e2e.programs import ROOT, Answer, Program, Role, end, request, wait_for
from tests.services import ports

__all__ = ["Answer", "Emulator", "Up", "playing", "prepared_up", "request", "running_up", "sample"]

TOKEN_VARIABLE: Final = "E2E_TOKEN"
SECRET_VARIABLE: Final = "E2E_SECRET"
APP_KEY: Final = "EMULATORKEY"
_TOP_KEYS: Final = ("broker", "store", "objects")
_DOOR_KEYS: Final = ("drain_delay", "connections", "connections_per_address")
_FILE_SINK: Final = '[[sink]]\nname = "file"\nkind = "jsonl"\npath = "calls.jsonl"\n'

PATIENCE_SECONDS: Final = 60.0  # for what takes moments where nothing else runs
FINISH_SECONDS: Final = 120.0  # what nobody answers is pushed again after 0.1, 0.5, 1.4, 12, 32 and 62 s

T = TypeVar("T")


@dataclass(kw_only=True)
class Up(Role):
    """A running `callstitch up` (or another door) with one source, `huawei`, and a jsonl sink."""

    listen: str
    recordings: str  # host:port where the source expects the platform's recording API
    token: str = field(repr=False)
    secret: str = field(repr=False)

    def is_ready(self) -> bool:
        """Whether /readyz answers 200 and the door listens now: it opens a moment after the admin port."""
        return super().is_ready() and ports.answers(int(self.listen.rpartition(":")[2]))

    @property
    def door_path(self) -> str:
        """`/v1/huawei/<token>`."""
        return f"/v1/huawei/{self.token}"

    @property
    def door(self) -> str:
        """The base URL at which the platform pushes; it ends with the token."""
        return f"http://{self.listen}{self.door_path}"

    @property
    def store(self) -> Path:
        """The directory of the state files."""
        return self.directory / "state"

    @property
    def config(self) -> Path:
        """The config file that it runs with."""
        return self.directory / "config.toml"

    def post(self, body: str | bytes, path: str = "/status", headers: Mapping[str, str] | None = None) -> int:
        """Push a body (a str is one of the platform's published samples, by file name); the answer's status."""
        return self.answer(body, path, headers).status

    def answer(self, body: str | bytes, path: str = "/status", headers: Mapping[str, str] | None = None) -> Answer:
        """As `post`, but the whole answer."""
        content = sample(body) if isinstance(body, str) else body
        wanted = {"Content-Type": "application/json;charset=UTF-8", **(headers or {})}
        return request(self.listen, "POST", self.door_path + path, content, wanted)

    def events(self) -> list[dict[str, Any]]:
        """Every whole line of the jsonl sink, repeated deliveries included."""
        return read_events(self.directory / "calls.jsonl")

    def wait_for(self, predicate: Callable[[], T], seconds: float = PATIENCE_SECONDS) -> T:
        """The first true value of the predicate; else a failed test that shows the end of the log."""
        return wait_for(predicate, seconds, why=self.tail)


def sample(name: str) -> bytes:
    """A published payload of the platform, by its file name."""
    return next(ROOT.glob(f"console/samples/**/{name}")).read_bytes()


@contextmanager
def running_up(
    directory: Path,
    config: str | None = None,
    *,
    extra: str = "",
    environ: Mapping[str, str] | None = None,
    command: Sequence[str] = ("up",),
    **overrides: str | bool | int,
) -> Iterator[Up]:
    """A ready `callstitch up --config F` in `directory`; killed at the end unless it ended before.

    `config` is a whole TOML file; its source `huawei` has `tokens = ["env:E2E_TOKEN"]`, and the ports come through
    the environment. Without it: the embedded broker, SQLite, and the keys of the source, of the door, `broker`, `store`
    and `objects` changed by `overrides`. `extra` is more TOML (a [[queue]], a [[sink]]).
    """
    up = prepared_up(directory, config, extra=extra, environ=environ, command=command, **overrides)
    try:
        up.start()
        yield up
    finally:
        end(up)


def prepared_up(
    directory: Path,
    config: str | None = None,
    *,
    extra: str = "",
    environ: Mapping[str, str] | None = None,
    command: Sequence[str] = ("up",),
    **overrides: str | bool | int,
) -> Up:
    """As `running_up`, not started yet, and nobody ends it."""
    listen, admin, recordings = (f"127.0.0.1:{ports.free_port()}" for _ in range(3))
    token, secret = secrets.token_urlsafe(16), secrets.token_urlsafe(16)
    (directory / "config.toml").write_text((config or _config(recordings, overrides)) + "\n" + extra)
    return Up(
        arguments=(*command, "--config", "config.toml"),
        directory=directory,
        name=command[0],
        environ={
            TOKEN_VARIABLE: token,
            SECRET_VARIABLE: secret,
            "CALLSTITCH_INGEST_LISTEN": listen,
            "CALLSTITCH_INGEST_ADMIN": admin,
            **(environ or {}),
        },
        listen=listen,
        admin=admin,
        recordings=recordings,
        token=token,
        secret=secret,
    )


def _config(recordings: str, overrides: Mapping[str, str | bool | int]) -> str:
    top = {"broker": "embedded:broker.db", "store": "sqlite:state", "objects": "file:recordings"}
    top |= {name: str(value) for name, value in overrides.items() if name in _TOP_KEYS}
    source: dict[str, str | bool | int | list[str]] = {
        "name": "huawei",
        "platform": "huawei_privatenumber",
        "tokens": [f"env:{TOKEN_VARIABLE}"],
        "app_key": APP_KEY,
        "app_secret": f"env:{SECRET_VARIABLE}",
        "verify": "when_present",  # questions too come without a signature here
        "recording_api": f"http://{recordings}",
        "recording_hosts": ["127.0.0.1"],
        "allow_private": True,
    }
    door: dict[str, object] = {"drain_delay": "0s"}  # no load balancer looks at it
    door |= {name: value for name, value in overrides.items() if name in _DOOR_KEYS}
    source |= {name: value for name, value in overrides.items() if name not in (*_TOP_KEYS, *_DOOR_KEYS)}
    return f"{_toml(top)}\n[ingest]\n{_toml(door)}\n[[source]]\n{_toml(source)}\n{_FILE_SINK}"


def _toml(table: Mapping[str, object]) -> str:
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in table.items())


@dataclass(kw_only=True)
class Emulator(Program):
    """A platform that plays calls against an `Up` and writes down what was answered 200."""

    @property
    def truth_file(self) -> Path:
        """Its truth, one line per answered push."""
        return self.directory / "sent.jsonl"

    def truth(self) -> Truth:
        """What it sent so far."""
        return read_truth(self.truth_file)

    def answered(self) -> int:
        """Pushes answered 200 so far."""
        text = self.truth_file.read_text() if self.truth_file.exists() else ""
        return text.count('"status": 200')

    def wait_until_answered(self, pushes: int, seconds: float = 30) -> None:
        """Return in the middle of the play, once so many pushes were answered 200."""
        wait_for(lambda: self.answered() >= pushes, seconds, why=self.tail)
        assert self.truth().end is None, "the play is over already: play more calls"

    def finish(self, seconds: float = FINISH_SECONDS) -> Truth:
        """Wait for its last push; it goes on serving recordings."""

        def ended() -> bool:
            assert self.process.poll() is None, f"the emulator ended early; {self.tail()}"
            return self.truth().end is not None

        wait_for(ended, seconds, why=self.tail)
        return self.truth()


@contextmanager
def playing(up: Up, *, calls: int, rate: float | None = None, seed: int = 1) -> Iterator[Emulator]:
    """An emulator that plays `calls` calls at `rate` notifications a second, and serves recordings to the end."""
    arguments = ["emulate", "--to", up.door, "--calls", str(calls), "--seed", str(seed), "--truth", "sent.jsonl"]
    arguments += ["--recordings", up.recordings, "--app-key", APP_KEY, "--linger", "-1"]
    arguments += ["--rate", str(rate)] if rate else []
    emulator = Emulator(
        arguments=arguments,
        directory=up.directory,
        name="emulate",
        environ={"CALLSTITCH_EMULATOR_SECRET": up.secret},
    )
    try:
        emulator.start()
        yield emulator
    finally:
        end(emulator)


def callstitch(up: Up, *arguments: str) -> str:
    """What an operator's command prints about a running `up`; it has to succeed."""
    command = [sys.executable, "-m", "console", *arguments, "--config", "config.toml"]
    environ = {**os.environ, **up.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "400"}
    told = subprocess.run(
        command, cwd=up.directory, env=environ, capture_output=True, check=True, text=True, timeout=PATIENCE_SECONDS
    )
    return told.stdout
