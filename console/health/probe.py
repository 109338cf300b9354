"""Whether the role that runs beside us is ready, as its own /readyz says; a container needs no shell for it.

It reads of the config only where the admin port is, and imports the standard library alone: a probe that loads the
whole product costs a second of CPU, and every container runs one every few seconds.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from schemas.shown import shown

NAME: Final = "health"
READY: Final = 0
NOT_READY: Final = 1
CONFIG: Final = 78  # EX_CONFIG, as of every command
DEFAULT_ADMIN: Final = "127.0.0.1:8081"  # that of `schemas.settings.Ingest`
ASK_SECONDS: Final = 4.0  # a group of processes takes up to 2 s to ask its members
_HERE: Final[Mapping[str, str]] = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared only


class Unreadable(Exception):
    """The config does not tell where the admin port is; the text says why, and repeats no value."""


def main(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """Print one line and return the exit code: 0 ready, 1 not ready or no answer, 78 no such config."""
    parser = argparse.ArgumentParser(
        prog=f"callstitch {NAME}", description="Ask the role at [ingest] admin whether it is ready; exit code 0 or 1."
    )
    parser.add_argument("--config", type=Path, help="TOML file; else CALLSTITCH_CONFIG, else the default admin port.")
    given: Path | None = parser.parse_args(arguments).config
    path = given or (Path(environ["CALLSTITCH_CONFIG"]) if environ.get("CALLSTITCH_CONFIG") else None)
    try:
        host, port = _address(path, environ)
    except Unreadable as error:
        sys.stderr.write(f"callstitch: {shown(str(error))}\n")
        return CONFIG
    return probed(host, port)


def probed(host: str, port: int) -> int:
    """Print what /readyz there says, in one line, and return 0 where it says that all is well."""
    connection = http.client.HTTPConnection(host, port, timeout=ASK_SECONDS)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        checks = _checks_in(answer.read())
        ready = answer.status == http.client.OK and checks is not None
        told = "it is no admin port of ours" if checks is None else ", ".join(_checks(checks))
    except (OSError, http.client.HTTPException) as error:
        words = (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
        ready, told = False, f"no answer from {host}:{port}: {words}"
    finally:
        connection.close()
    sys.stdout.write(f"{'ready' if ready else 'not ready'}: {shown(told)}\n")
    return READY if ready else NOT_READY


def _address(path: Path | None, environ: Mapping[str, str]) -> tuple[str, int]:
    """Where the role of this config serves its admin port, as seen from beside it."""
    address = environ.get("CALLSTITCH_INGEST_ADMIN") or _configured(path)
    host, _, port = address.rpartition(":") if isinstance(address, str) else ("", "", "")
    if not port.isdecimal():
        raise Unreadable("ingest.admin: an address is host:port, for example 127.0.0.1:8081")
    host = host.strip("[]")
    return _HERE.get(host, host), int(port)


def _configured(path: Path | None) -> Any:
    if path is None:
        return DEFAULT_ADMIN
    try:
        ingest = tomllib.loads(path.read_text()).get("ingest", {})
    except OSError as error:
        raise Unreadable(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:  # no TOML, or no UTF-8
        raise Unreadable(f"{path} is not TOML: {error}") from None
    return ingest.get("admin", DEFAULT_ADMIN) if isinstance(ingest, dict) else None


def _checks_in(body: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(body)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _checks(found: dict[str, Any]) -> Iterator[str]:
    """The checks by name, those that do not pass with their reason."""
    reasons = found.get("reasons", {})
    failing = [name for name, state in found.items() if state is False]
    yield from (f"{name} ({reasons[name]})" if name in reasons else name for name in failing)
    if not failing:
        yield from (name for name, state in found.items() if state is True)
    yield from (f"{name} is paused" for name in found.get("paused", ()))
    yield from (f"the far end of {name} is away" for name in found.get("away", ()))
    yield from (f"{name} is held {word}" for name, word in found.get("held", {}).items())
    if stale := found.get("stale"):
        yield f"its config was not taken ({stale})"
