"""Who may give commands to the owner of the state: whoever can read the token beside it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from schemas.errors import Unavailable
from workers.config import Config

TOKEN_FILE: Final = "admin.token"  # noqa: S105 - the name of a file


def admin_token(config: Config) -> str | None:
    """The token of the admin port's commands, made once and readable by our own user only."""
    directory = config.store.directory
    if directory is None:
        return None
    path = directory / TOKEN_FILE
    if not path.exists():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32))
    return path.read_text()


def read_token(directory: Path) -> str:
    """The token of whoever owns the state in `directory`.

    Raises:
        Unavailable: it cannot be read.
    """
    try:
        return (directory / TOKEN_FILE).read_text()
    except OSError as error:
        raise Unavailable(f"cannot read {directory / TOKEN_FILE}: {error.strerror}; is park running here?") from None
