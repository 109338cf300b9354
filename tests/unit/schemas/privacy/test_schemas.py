"""An event as an outlet sees it still follows its schema, whatever is hidden of it, and each kind of event holds up."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import orjson
import pytest

from schemas.envelope import Envelope, JsonObject, Kind
from schemas.privacy.view import Manner, View
from tests.building.leaks import known_numbers, leaks, texts
from tests.building.schemas import problems
from tests.building.tree import ROOT

KEY: Final = b"0123456789abcdef"
GOLDEN: Final = sorted((ROOT / "docs/contract/events").glob("*.json"))
AT: Final = datetime(2026, 1, 5, tzinfo=UTC)


@pytest.mark.parametrize("manner", ["mask", "token", "drop"])
@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.stem)
def test_a_golden_event_that_is_hidden_follows_its_schema_and_holds_no_number(golden: Path, manner: Manner) -> None:
    told: JsonObject = orjson.loads(golden.read_bytes())
    event = Envelope(told["id"], Kind.EVENT, "s", AT, orjson.dumps(told))
    for without in (frozenset[str](), frozenset({"raw", "timeline"})):
        view = View(numbers=manner, text=manner, user_data=manner, without=without, key=KEY)
        seen = view(event)
        assert isinstance(seen.body, bytes)
        made = orjson.loads(seen.body)
        assert problems(made) == []
        assert [text for text in texts(made) if leaks(text, known_numbers([told]))] == []
        assert [made[name] for name in ("type", "source", "time", "dataschema")] == [
            told[name] for name in ("type", "source", "time", "dataschema")
        ]
