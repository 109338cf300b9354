"""What the documents say is what the code does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from schemas.question import Answer, Question

ROOT = Path(__file__).parents[3]
SCHEMAS: Mapping[str, TypeAdapter[Any]] = {
    "question": TypeAdapter(Question),
    "answer": TypeAdapter(Answer),
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_published_json_schema_is_that_of_the_model(name: str) -> None:
    """Make them again with `python -m tests.unit.docs.test_docs`."""
    assert json.loads((ROOT / f"docs/{name}.schema.json").read_text()) == SCHEMAS[name].json_schema()


if __name__ == "__main__":
    for name, model in SCHEMAS.items():
        (ROOT / f"docs/{name}.schema.json").write_text(json.dumps(model.json_schema(), indent=1) + "\n")
