"""A private Prometheus from Debian's package, on loopback, and promtool, which checks and tries its rules."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.services import debian, ports

_PACKAGE: Final = "prometheus"
_START_TIMEOUT_SECONDS: Final = 60.0
_COMMAND_TIMEOUT_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 0.1


def install() -> Path:
    """The server's program; its package brings promtool too.

    Raises:
        debian.Missing: it is not there, and cannot be installed.
    """
    return debian.program("/usr/bin/prometheus", package=_PACKAGE)


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """What promtool says; whoever asks looks at its `returncode`."""
    program = debian.program("/usr/bin/promtool", package=_PACKAGE)
    return subprocess.run(
        [program, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_COMMAND_TIMEOUT_SECONDS,
        check=False,
    )


@dataclass(frozen=True, slots=True)
class Sample:
    """One series of an answer."""

    labels: Mapping[str, str]
    value: float


class Prometheus:
    """One server, started when built, on that config (the folder in which it lies holds its rules too).

    Raises:
        debian.Missing: the package is not installed and cannot be.
        RuntimeError: it did not start in a minute; the text ends with its log.
    """

    def __init__(self, config: Path) -> None:
        program = install()
        self.port = ports.free_port()
        self._home = Path(tempfile.mkdtemp(prefix="callstitch-prometheus-"))
        with (self._home / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [
                    *debian.dies_with_us(),
                    str(program),
                    f"--config.file={config}",
                    f"--storage.tsdb.path={self._home}/data",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                ],
                cwd=self._home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.close()
            raise

    def query(self, expression: str) -> list[Sample]:
        """The value of a PromQL expression now."""
        result = self._get("query", query=expression)["result"]
        return [Sample(one["metric"], float(one["value"][1])) for one in result]

    def firing(self) -> set[str]:
        """The names of the alerts that fire."""
        return {one["labels"]["alertname"] for one in self._get("alerts")["alerts"] if one["state"] == "firing"}

    def targets(self) -> Sequence[Mapping[str, Any]]:
        """What it scrapes, with `health` and `lastError`."""
        found: Sequence[Mapping[str, Any]] = self._get("targets")["activeTargets"]
        return found

    def names(self) -> set[str]:
        """Every metric name that it has seen."""
        return set(self._get("label/__name__/values"))

    def close(self) -> None:
        """End it for good and delete its data. Harmless when done twice."""
        self._server.kill()
        self._server.wait()
        shutil.rmtree(self._home, ignore_errors=True)

    def _get(self, what: str, **asked: str) -> Any:
        url = f"http://127.0.0.1:{self.port}/api/v1/{what}?{urllib.parse.urlencode(asked)}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.load(answer)["data"]

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_SECONDS
        while not self._is_ready():
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Prometheus did not start:\n{(self._home / 'log').read_text()[-3000:]}")
            time.sleep(_POLL_SECONDS)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
