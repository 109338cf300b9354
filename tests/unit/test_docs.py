"""What the documents say is what the code does."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from schemas.config import Config
from schemas.record import CallRecord

ROOT = Path(__file__).parents[2]


def test_the_published_json_schema_is_that_of_the_model() -> None:
    """Make it again with `python -m tests.unit.test_docs`."""
    assert json.loads((ROOT / "docs/call-record.schema.json").read_text()) == CallRecord.model_json_schema()


def test_the_documented_config_is_a_valid_one() -> None:
    text = (ROOT / "docs/config.md").read_text()
    example = text.split("```toml\n")[1].split("```")[0]
    without_secrets = example.replace('"env:', '"given-')
    config = Config.model_validate(tomllib.loads(without_secrets))
    assert [source.name for source in config.source] == ["huawei-bj"]


if __name__ == "__main__":
    (ROOT / "docs/call-record.schema.json").write_text(json.dumps(CallRecord.model_json_schema(), indent=1) + "\n")
