"""Whether the config, or a file that it reads a secret from, changed: by content, whatever way it came there.

A mounted ConfigMap changes by a symbolic link, an editor renames or writes over it, a copy keeps its time.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

_READ_FROM: Final = "file:"
_ABSENT: Final = b"\0absent"


def sight_of(path: Path) -> str:
    """A hash of all that a load of the config would read."""
    known = hashlib.sha256()
    text = _content(path)
    for part in (text, *(_content(secret) for secret in sorted(_secrets(text)))):
        known.update(len(part).to_bytes(8) + part)
    return known.hexdigest()


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # a directory too: `objects` is written alike
        return _ABSENT


def _secrets(text: bytes) -> set[Path]:
    try:
        return set(_named(tomllib.loads(text.decode())))
    except ValueError:
        return set()


def _named(value: Any) -> Iterator[Path]:
    if isinstance(value, str) and value.startswith(_READ_FROM):
        yield Path(value.removeprefix(_READ_FROM))
    elif isinstance(value, dict):
        for part in value.values():
            yield from _named(part)
    elif isinstance(value, list):
        for part in value:
            yield from _named(part)
