"""Events held against the published schema of their type, formats too."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator

from console.contract.schemas import event_schema


def problems(event: Any) -> list[str]:
    """What of the event is not what the schema of its type says, a line each."""
    kind = str(event["type"]).removeprefix("callstitch.").removesuffix(".v1")
    return sorted(f"{error.json_path}: {error.validator}" for error in _validator(kind).iter_errors(event))


@lru_cache
def _validator(kind: str) -> Draft202012Validator:
    return Draft202012Validator(event_schema(kind), format_checker=Draft202012Validator.FORMAT_CHECKER)
