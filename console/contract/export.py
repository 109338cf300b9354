"""The contract as a directory: `callstitch contract export DIR`, and `make contract` for the one that is committed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from console.contract.asyncapi import asyncapi
from console.contract.golden import golden_events
from console.contract.schemas import event_schemas
from schemas.envelope import JsonObject

COMMITTED: Final = Path("docs/contract")
FOLDERS: Final = ("schemas", "events")


def contract_files() -> dict[str, str]:
    """The text of each file, by its path."""
    golden = golden_events()
    values: dict[str, JsonObject] = {
        "asyncapi.json": asyncapi(golden),
        **{f"schemas/{name}.json": schema for name, schema in event_schemas().items()},
        **{f"events/{name}.json": event for name, event in golden.items()},
    }
    return {path: json.dumps(value, indent=1, ensure_ascii=False) + "\n" for path, value in values.items()}


def export(directory: Path, files: Mapping[str, str]) -> None:
    """Write them; whatever else lies there stays.

    Raises:
        OSError: it cannot be written there.
    """
    for folder in FOLDERS:
        (directory / folder).mkdir(parents=True, exist_ok=True)
    for path, text in files.items():
        (directory / path).write_text(text, encoding="utf-8")


def leftovers(directory: Path, files: Mapping[str, str]) -> list[Path]:
    """What is there and would not be written."""
    return sorted(file for file in directory.rglob("*.json") if file.relative_to(directory).as_posix() not in files)


if __name__ == "__main__":
    for old in leftovers(COMMITTED, contract_files()):
        old.unlink()
    export(COMMITTED, contract_files())
