"""What the documents say is what the code does."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from schemas.question import Answer, Question
from schemas.record import CallRecord, SmsRecord
from workers.config import Config

ROOT = Path(__file__).parents[3]
SCHEMAS: Mapping[str, TypeAdapter[Any]] = {
    "call-record": TypeAdapter(CallRecord),
    "sms-record": TypeAdapter(SmsRecord),
    "question": TypeAdapter(Question),
    "answer": TypeAdapter(Answer),
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_published_json_schema_is_that_of_the_model(name: str) -> None:
    """Make them again with `python -m tests.unit.docs.test_docs`."""
    assert json.loads((ROOT / f"docs/{name}.schema.json").read_text()) == SCHEMAS[name].json_schema()


def test_the_documented_config_is_a_valid_one() -> None:
    text = (ROOT / "docs/config.md").read_text()
    example = text.split("```toml\n")[1].split("```")[0]
    without_secrets = example.replace('"env:', '"given-')
    config = Config.model_validate(tomllib.loads(without_secrets))
    assert [source.name for source in config.source] == ["huawei-bj"]


if __name__ == "__main__":
    for name, model in SCHEMAS.items():
        (ROOT / f"docs/{name}.schema.json").write_text(json.dumps(model.json_schema(), indent=1) + "\n")
