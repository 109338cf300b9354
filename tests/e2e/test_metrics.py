"""Every metric of docs/metrics.md in a scrape of what runs, from the start, and right after known traffic."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final

import pytest

from runtime.telemetry.families import FAMILIES, PROCESS_FAMILIES
from schemas.topology import STAGES
from tests.e2e.running import Up, playing, running_up, sample
from tests.e2e.scrape import Scrape, defined, scraped

POSTS: Final = 5
RULES: Final = '[[rule]]\nsource = "huawei"\naction = "close"\n'
NUMBERS: Final = re.compile(r"\d{5,}")


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with running_up(tmp_path_factory.mktemp("up"), extra=RULES, control=True, cdr_wait="1s") as running:
        yield running


@pytest.fixture(scope="module")
def at_start(up: Up) -> Scrape:
    return scraped(up)


def test_all_that_is_defined_is_there_before_anything_happened_and_nothing_else(at_start: Scrape) -> None:
    assert at_start.families == defined("ingest", *STAGES)


def test_what_counts_events_begins_at_nothing(at_start: Scrape) -> None:
    counters = [one.name for one in FAMILIES if one.type == "counter" and one.name in at_start.families]
    assert {name: at_start.value(name) for name in counters} == dict.fromkeys(counters, 0.0)
    for name in ("dead_total", "retried_total", "quarantined_total", "tick_failed_total", "held", "oldest_age_seconds"):
        for stage in ("dedupe", "correlate", "fetch_recording", "fan_out.file", "park.dead", "decide"):
            assert at_start.value(f"callstitch_{name}", stage=stage) == 0
    assert at_start.value("callstitch_requests_total", source="huawei", status="503") == 0
    assert at_start.value("callstitch_items_total", source="huawei", result="duplicate") == 0
    assert at_start.value("callstitch_events_total", source="huawei", type="call.incomplete") == 0
    assert at_start.value("callstitch_recordings_total", source="huawei", state="failed") == 0
    assert at_start.value("callstitch_queue_messages", queue="callstitch.dead.v1") == 0


def test_what_runs_is_up(at_start: Scrape) -> None:
    assert at_start.value("callstitch_broker_up") == 1
    assert at_start.value("callstitch_broker_blocked") == 0
    assert at_start.value("callstitch_build_info") == 1
    for stage in ("dedupe", "correlate", "park"):
        assert at_start.value("callstitch_store_up", stage=stage) == 1
    assert at_start.value("process_resident_memory_bytes") > 1e6
    assert at_start.value("process_open_fds") > 3


def test_known_traffic_is_counted_as_it_was(up: Up, at_start: Scrape) -> None:
    """One call begins and does not end, pushed twice; one push cannot be read; one names no source."""
    assert at_start.value("callstitch_accepted_total") == 0
    ringing = json.loads(sample("axyb-event-callin.json"))
    assert [up.post(json.dumps(ringing).encode()) for _ in range(POSTS)] == [200] * POSTS
    assert up.post(b"no json at all") == 200
    up.wait_for(lambda: _handled(up, POSTS + 1))
    told = scraped(up)

    assert told.value("callstitch_accepted_total", source="huawei") == POSTS + 1
    assert told.value("callstitch_requests_total", source="huawei", status="200") == POSTS + 1
    assert told.value("callstitch_door_seconds", source="huawei") == POSTS + 1
    assert told.value("callstitch_items_total", result="new") == 1
    assert told.value("callstitch_items_total", result="duplicate") == POSTS - 1
    assert told.value("callstitch_items_total", result="quarantined") == 1
    assert told.value("callstitch_quarantined_total", stage="dedupe") == 1
    assert told.value("callstitch_outputs_total", stage="dedupe", kind="fact") == 1
    assert told.value("callstitch_received_total", stage="dedupe") == POSTS + 1
    assert told.value("callstitch_door_confirm_seconds") == told.value("callstitch_door_bundle_envelopes")
    up.wait_for(lambda: scraped(up).value("callstitch_handled_total", stage="park.quarantine") == 1)


def test_calls_that_were_played_leave_what_the_truth_says(up: Up) -> None:
    with playing(up, calls=8) as emulator:
        truth = emulator.finish()
        ids = {event["id"] for event in up.events()}
        up.wait_for(lambda: _all_delivered(up))
        told = scraped(up)
    assert truth.end is not None
    assert ids
    completed = told.value("callstitch_events_total", source="huawei", type="call.completed")
    assert completed == len({event["callid"] for event in up.events() if ".completed." in event["type"]})
    assert told.value("callstitch_sink_delivered_total", sink="file") == len(up.events())
    wanted = told.value("callstitch_recordings_total", state="wanted")
    stored = told.value("callstitch_recordings_total", state="stored")
    assert wanted >= stored > 0
    assert told.value("callstitch_in_flight_envelopes") == 0


def test_no_label_holds_what_is_not_bounded(up: Up) -> None:
    told = scraped(up)
    labels = {(label, value) for _, label, value in told.labels() if label not in ("le", "version", "python")}
    known = {label for one in (*FAMILIES, *PROCESS_FAMILIES) for label in one.labels}
    assert {label for label, _ in labels} <= known
    assert [value for _, value in labels if NUMBERS.search(value) or up.token in value] == []
    assert len(labels) < 120


def test_a_batch_leaves_a_wide_line_of_numbers(up: Up) -> None:
    text = up.log_file.read_text()
    lines = [line for line in text.splitlines() if "stage.batch" in line]
    assert any("stage=dedupe" in line or '"stage":"dedupe"' in line for line in lines)
    assert any("items_duplicate" in line for line in lines)


def _handled(up: Up, pushes: int) -> bool:
    told = scraped(up)
    done = told.value("callstitch_handled_total", stage="dedupe") >= pushes
    return done and told.value("callstitch_in_flight_envelopes") == 0


def _all_delivered(up: Up) -> bool:
    """Nothing is under way: as many events are in the file as correlate made."""
    told = scraped(up)
    quiet = told.value("callstitch_outbox_unsent") == 0 and told.value("callstitch_in_flight_envelopes") == 0
    made, delivered = told.value("callstitch_events_total"), told.value("callstitch_sink_delivered_total")
    made -= told.value("callstitch_events_total", type="call.progress")  # nobody wants them here
    return quiet and made == delivered == len(up.events())
