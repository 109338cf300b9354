"""An outlet filtered by outcome: whoever keeps the highest revision of a call knows which calls are of its set."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from console.demo.check import latest_records, read_events
from schemas.envelope import JsonObject
from tests.e2e.programs import request
from tests.e2e.running import Up, playing, running_up, sample
from tests.e2e.test_batches import reconciled
from tests.e2e.test_edge import SESSION
from tests.e2e.test_reload import edited, reloaded

CALLS: Final = 40
RATE: Final = 100.0
UNHEARD_OF: Final = 5  # at most so many that never end
SINK: Final = """
[[sink]]
name = "answered"
kind = "jsonl"
path = "answered.jsonl"
outcomes = ["answered"]
"""


def of_the_set(events: list[JsonObject]) -> dict[str, JsonObject]:
    """The latest record of each call that has the outcome, as far as these events tell."""
    return {call: record for call, record in latest_records(events).items() if record["outcome"] == "answered"}


def ids(events: list[JsonObject]) -> set[str]:
    return {event["id"] for event in events}


def filtered(up: Up) -> float:
    """How many the sink did not want."""
    told = request(up.admin, "GET", "/metrics").body.decode()
    (line,) = (line for line in told.splitlines() if line.startswith('callstitch_filtered_total{stage="fan_out.answer'))
    return float(line.rpartition(" ")[2])


def test_a_filtered_sink_has_all_of_its_calls_and_counts_what_it_does_not_want(tmp_path: Path) -> None:
    with running_up(tmp_path, extra=SINK) as up:

        def records() -> list[JsonObject]:
            return [event for event in up.events() if "call" in event["data"]]

        def taken() -> list[JsonObject]:
            return read_events(tmp_path / "answered.jsonl")

        def all_told() -> bool:
            whole = len(latest_records(records())) >= CALLS - UNHEARD_OF
            return whole and len(ids(taken())) + filtered(up) >= len(ids(records()))

        with playing(up, calls=CALLS, rate=RATE) as emulator:
            emulator.finish()
            up.wait_for(all_told)
        up.wait_for(lambda: of_the_set(taken()) == of_the_set(records()))
        assert 0 < len(of_the_set(records())) < len(latest_records(records()))
        assert ids(taken()) < ids(records())
        assert "sent ?, held 0, dead 0, taken ?" in reconciled(up)

        edited(up, 'outcomes = ["answered"]', 'outcomes = ["answered"]\ndrop = ["raw", "timeline"]')
        assert reloaded(up)["keys"] == ["sink.answered.drop"]
        assert up.post(sample("axyb-fee.json").replace(SESSION.encode(), b"another"), "/fee") == 200
        up.wait_for(lambda: "another" in latest_records(taken()))
        (cdr,) = latest_records(taken())["another"]["cdrs"]
        assert not cdr.get("raw"), "what it sees is of the new config too"

        edited(up, 'outcomes = ["answered"]', 'outcomes = ["unknown", "failed"]')
        assert reloaded(up)["keys"] == ["sink.answered.outcomes"]
        before = filtered(up)
        assert up.post("axyb-fee.json", "/fee") == 200
        up.wait_for(lambda: filtered(up) > before)
        assert up.terminate() == 0
