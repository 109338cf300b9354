"""Who may give commands to the owner of the state: whoever can read the token beside it."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import aiohttp
import orjson

from runtime.files import sync
from schemas.envelope import JsonObject
from schemas.errors import Misconfigured, Unavailable
from workers.config import Config

TOKEN_FILE: Final = "admin.token"  # noqa: S105 - the name of a file
ASK_SECONDS: Final = 60.0
_TOKEN_BYTES: Final = 32


def admin_token(config: Config) -> str | None:
    """The token of the admin port's commands, made once and readable by our own user only.

    It appears whole or not at all: whoever dies in between leaves no empty one, which everybody would know.

    Raises:
        Misconfigured: it cannot be read or made.
    """
    directory = home_of(config)
    if directory is None:
        return None
    path = directory / TOKEN_FILE
    try:
        return _kept(path) or _made(path)
    except OSError as error:
        raise Misconfigured(f"cannot keep the token of the commands in {path}: {error.strerror}") from None


def home_of(config: Config) -> Path | None:
    """Where that token lies: beside the state, else beside the embedded broker's file; None where a server has both."""
    if config.store.directory is not None:
        return config.store.directory
    return config.broker.file.parent if config.broker.file else None


def read_token(directory: Path) -> str:
    """The token of whoever owns the state in `directory`.

    Raises:
        Unavailable: it cannot be read, or is empty.
    """
    try:
        token = _kept(directory / TOKEN_FILE)
    except OSError as error:
        raise Unavailable(f"cannot read {directory / TOKEN_FILE}: {error.strerror}; is park running here?") from None
    if not token:
        raise Unavailable(f"{directory / TOKEN_FILE} is missing or empty; is park running here?")
    return token


class Ask(Protocol):
    """To give a command to the owner of the state."""

    async def __call__(self, command: str, body: JsonObject, *, who: str) -> Any:
        """What it answered.

        Raises:
            Unavailable: no process with `who` (a stage) answers.
        """
        ...


@asynccontextmanager
async def asking_owner(config: Config, directory: Path) -> AsyncIterator[Ask]:
    """To give commands to the process that owns the state in `directory`.

    Raises:
        Unavailable: its token cannot be read.
    """
    headers = {"Authorization": f"Bearer {read_token(directory)}"}
    timeout = aiohttp.ClientTimeout(total=ASK_SECONDS)
    admin = config.ingest.admin
    async with aiohttp.ClientSession(f"http://{admin}", headers=headers, timeout=timeout) as session:

        async def ask(command: str, body: JsonObject, *, who: str) -> Any:
            try:
                async with session.post(f"/commands/{command}", data=orjson.dumps(body)) as answer:
                    if answer.status != 200:  # noqa: PLR2004 - OK
                        refused = f"the owner of the state answered {answer.status}; is it running {who}?"
                        raise Unavailable(refused)
                    return orjson.loads(await answer.read())
            except (aiohttp.ClientError, TimeoutError):
                raise Unavailable(f"no process with {who} answers on {admin}") from None

        yield ask


def _kept(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""


def _made(path: Path) -> str:
    """Written aside and renamed; one that is empty is an older version's, which a crash left so."""
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    whole = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(token)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(whole, path)  # not over another's: stages of one state that start at once agree
    except FileExistsError:
        if not _kept(path):
            whole.replace(path)
    finally:
        whole.unlink(missing_ok=True)
    sync(path.parent)
    return _kept(path)
