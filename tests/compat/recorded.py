"""What was recorded: the pushes that a platform sent, the steps of a run, and what the product made of them."""

from __future__ import annotations

import base64
import json
import lzma
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

FIXTURES: Final = Path(__file__).parents[1] / "fixtures" / "7189888"
CONFIG: Final = FIXTURES / "config.toml"
PUSHES: Final = FIXTURES / "pushes.ndjson.xz"
RUN: Final = FIXTURES / "run.ndjson.xz"


@dataclass(frozen=True, kw_only=True)
class Push:
    """One POST as it came to the door at `at`, and what the door answered; `path` is what follows the token."""

    source: str
    path: str
    content_type: str
    headers: Mapping[str, str] = field(default_factory=dict)  # those that the door keeps, in lower case
    body: bytes
    at: datetime
    status: int
    answer: str
    answer_type: str

    def row(self) -> dict[str, Any]:
        """As JSON."""
        try:
            body = {"text": self.body.decode()}
        except UnicodeDecodeError:
            body = {"base64": base64.b64encode(self.body).decode()}
        rest = {name: value for name, value in vars(self).items() if name != "body"}
        return {**rest, "at": self.at.isoformat(), **body}


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message as the broker is given it."""

    exchange: str
    routing_key: str
    body: str
    content_type: str
    message_id: str
    headers: Mapping[str, str | int]

    def row(self) -> list[Any]:
        """As JSON."""
        return list(vars(self).values())


def read_pushes(path: Path = PUSHES) -> list[Push]:
    """All recorded pushes, in the order in which they came."""
    return [_push(row) for row in read_rows(path)]


def _push(row: dict[str, Any]) -> Push:
    encoded: str | None = row.pop("base64", None)
    body = row.pop("text").encode() if encoded is None else base64.b64decode(encoded)
    return Push(**{**row, "at": datetime.fromisoformat(row["at"]), "body": body})


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a compressed file."""
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def recorded_events() -> Iterator[dict[str, Any]]:
    """Every event that the run published, each telling of it."""
    for row in read_rows(RUN):
        yield from events_in(row)


def events_in(row: Any) -> Iterator[dict[str, Any]]:
    """Every event in it, wherever it stands."""
    for told in _texts(row):
        if told.startswith('{"id":') and '"specversion":"1.0"' in told:
            yield json.loads(told)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(inner)


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """The same rows give the same file."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
