"""The URL of a source at the door: what a platform's console is given, and what the commands that post are told.

It ends with the source's token, so no message repeats it.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

import typer

from schemas.settings.source import Source
from workers.config import Config

_SOURCE_PATH: Final = re.compile(r"(/.+)?/v1/[a-z0-9-]{1,40}/[^/]+(/.*)?")  # a proxy may stand in front


def door_url(config: Config, source: Source) -> str:
    """Where that source's platform posts, by the door's own address and the source's first token."""
    return f"http://{config.ingest.listen}/v1/{source.name}/{source.tokens[0].get_secret_value()}"


def checked_url(url: str, *, option: str) -> str:
    """As given, when it can be a source's at a door.

    Raises:
        typer.BadParameter: it cannot; the message names the option and not the URL.
    """
    try:
        parts = urlsplit(url)
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        right = False
    if not right or not _SOURCE_PATH.fullmatch(parts.path):
        raise typer.BadParameter("a URL looks like http://HOST:PORT/v1/SOURCE/TOKEN", param_hint=option)
    return url
