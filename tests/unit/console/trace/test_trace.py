"""`callstitch trace` as an operator types it: which call is meant, and what became of its events at each outlet."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from console.main import app
from runtime.verdict import Policy
from runtime.wire import dead_envelope
from schemas.envelope import Envelope, JsonObject, Kind, encode_envelope
from schemas.errors import Away, Transient
from schemas.facts import Announced, FactKind, Recording
from schemas.settings.addresses import store_address
from schemas.topology import RECORDINGS, sink_queue
from tests.building.delivered import delivered
from tests.building.facts import a_cdr, a_fact, an_event
from tests.building.stores import SOURCE, SqliteRig, at, event, fold, marked
from tests.services.ports import free_port
from workers.config import Config
from workers.delivery.log import DeliveryLog
from workers.park import Parked
from workers.stores import open_sinks

A, B = "+8613800000021", "+8613800000022"
NUMBERS_ID = "+8613100000011_+8613200000012_4_627e5c1f"
WIDTH = 80


def a_config(directory: Path) -> Path:
    config = directory / "config.toml"
    config.write_text(
        f'broker = "embedded:{directory}/broker.db"\nstore = "sqlite:{directory}/state"\n'
        f'[[source]]\nname = "{SOURCE}"\nplatform = "huawei_privatenumber"\ntokens = ["a-token"]\n'
        '[[sink]]\nname = "crm"\nkind = "webhook"\nurl = "https://example.org/x"\nsecret = "whsec_c2VjcmV0"\n'
        f'[[sink]]\nname = "file"\nkind = "jsonl"\npath = "{directory}/c.jsonl"\nevents = ["call.completed"]\n'
        f'[[sink]]\nname = "live"\nkind = "jsonl"\npath = "{directory}/l.jsonl"\nevents = ["call.progress"]\n'
        f'[[sink]]\nname = "blocked"\nkind = "jsonl"\npath = "{directory}/b.jsonl"\noutcomes = ["blocked"]\n'
    )
    return config


def a_letter(envelope: Envelope, *, stage: str, reason: str, told: float) -> Parked:
    dead = dead_envelope(envelope, reason=reason, stage=stage)
    raw = encode_envelope(dead)
    return Parked(
        id=dead.id,
        box="dead",
        stage=stage,
        source=SOURCE,
        reason=reason,
        signature="s",
        at=at(told),
        raw=raw,
        attempts=envelope.attempt,
    )


class Now:
    seconds = 0.0


async def fill(directory: Path) -> Sequence[Envelope]:
    """A recorded call whose first event is dead at crm after two attempts and whose second is held, and another."""
    rig = SqliteRig(directory / "state")
    recorded = a_cdr(implies=(), recordings=(Announced(name="a.wav"), Announced(name="b.wav")), binding_id="bound-1")
    async with rig.open_claims(), rig.open_sessions() as sessions, rig.open_parked() as parked:
        said = await fold(sessions, an_event("incoming", told=5), recorded, told=70)
        orders = [one for one in said if one.kind == Kind.RECORDING_WANTED]
        assert isinstance(orders[0].body, dict)
        stored = Recording(key=orders[0].body["key"], state="stored", place="hw/a.wav", bytes=9, format="wav")
        end = a_fact(FactKind.RECORDING, f"recording|{stored.key}", stored, told=75, session="s1")
        said += await fold(sessions, end, told=75)
        await fold(sessions, a_cdr("r9", session=NUMBERS_ID, implies=(), told=90), told=90)
        told = {event(one)["type"]: one for one in said if event(one)}
        completed, amended = told["callstitch.call.completed.v1"], told["callstitch.recording.stored.v1"]
        await marked(sessions, [completed.id], told=76)
        await parked.park(
            [
                a_letter(completed, stage=sink_queue("crm"), reason="Transient: http_503", told=140),
                a_letter(orders[1], stage=RECORDINGS, reason="Permanent: not_audio", told=150),
            ]
        )
    async with open_sinks(store_address(f"sqlite:{directory}/state")) as store:
        log = DeliveryLog(store, lambda: at(Now.seconds), Policy(("5s",)), timedelta(days=7))
        crm, file = log.of("crm", "http_2xx"), log.of("file", "written")
        Now.seconds = 80
        crm([completed], [Transient("http_503")])
        file([completed], [None])
        for Now.seconds in (82, 84):
            crm([amended], [Away("the endpoint is away: http_500", seconds=1)])
        Now.seconds = 140
        completed.attempt = 2
        crm([completed], [Transient("http_503")])
        await log.write()
        await store.pause("crm", by="me", now=at(141))
    return [completed, amended]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Sequence[Envelope]]:
    directory = tmp_path_factory.mktemp("trace")
    said = asyncio.run(fill(directory))
    return a_config(directory), said


@pytest.fixture(scope="module")
def config(filled: tuple[Path, Sequence[Envelope]]) -> Path:
    return filled[0]


def screen(config: Path, *arguments: str, code: int = 0) -> str:
    ended = CliRunner().invoke(app, ["trace", *arguments, "--config", str(config)])
    assert ended.exit_code == code, ended.output
    return ended.output


def told(config: Path, *arguments: str, code: int = 0) -> Any:
    return json.loads(screen(config, *arguments, "--json", code=code))


def outlet(trace: JsonObject, name: str) -> JsonObject:
    (found,) = [one for one in trace["outlets"] if one["name"] == name]
    return dict(found)


def test_each_outlet_says_what_became_of_each_event(filled: tuple[Path, Sequence[Envelope]]) -> None:
    config, (completed, amended) = filled
    trace = told(config, "s1")
    crm = outlet(trace, "crm")
    assert (crm["kind"], crm["queue"], crm["paused_at"]) == ("sink", sink_queue("crm"), "2026-11-21T08:02:21Z")
    first, second = crm["events"]
    assert (first["id"], first["type"], first["revision"], first["state"]) == (
        completed.id,
        "call.completed",
        1,
        "dead",
    )
    assert first["attempts"] == [
        {"attempt": 1, "at": "2026-11-21T08:01:20Z", "answer": "http_503", "end": "retry"},
        {"attempt": 2, "at": "2026-11-21T08:02:20Z", "answer": "http_503", "end": "dead"},
    ]
    (letter,) = first["letters"]
    assert (letter["state"], letter["reason"]) == ("parked", "Transient: http_503")
    assert (second["id"], second["state"], len(second["attempts"])) == (amended.id, "held", 2)
    (written,) = outlet(trace, "file")["events"]
    assert (written["state"], written["attempts"][0]["answer"]) == ("acked", "written")
    (live,) = outlet(trace, "live")["events"]
    assert (live["type"], live["state"], live["letters"]) == ("call.progress", "unlogged", [])
    assert [one["state"] for one in outlet(trace, "blocked")["events"]] == ["filtered", "unsent"]


def test_the_dead_letter_that_a_trace_names_can_be_shown_and_replayed(config: Path) -> None:
    (letter,) = outlet(told(config, "s1"), "crm")["events"][0]["letters"]
    for arguments in (("dead", "show", letter["id"]), ("dead", "replay", letter["id"], "--dry-run")):
        ended = CliRunner().invoke(app, [*arguments, "--config", str(config)])
        assert ended.exit_code == 0, ended.output


def test_the_recordings_of_a_call_are_told_with_their_end_or_their_dead_letter(config: Path) -> None:
    stored, wanted = told(config, "s1")["recordings"]
    assert (stored["state"], stored["place"], stored["letters"]) == ("stored", "hw/a.wav", [])
    assert (wanted["state"], wanted["letters"][0]["reason"]) == ("wanted", "Permanent: not_audio")


def test_a_trace_of_deliveries_fits_and_tells_how_to_replay(config: Path) -> None:
    text = screen(config, "s1", "--tz", "UTC")
    assert [line for line in text.splitlines() if len(line) > WIDTH and len(line.split()) > 1] == []
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "2026-11-21 08:01:20 attempt 1 http_503 comes again" in lines
    assert "2026-11-21 08:01:22 to 2026-11-21 08:01:24, 2 times attempt 1" in text.replace("  ", " ")
    (letter,) = outlet(told(config, "s1"), "crm")["events"][0]["letters"]
    assert f"callstitch dead replay {letter['id']}" in lines
    assert A not in text
    assert A in screen(config, "s1", "--show-numbers")


def test_an_event_that_was_told_at_once_is_told_by_what_became_of_it(config: Path) -> None:
    (live,) = outlet(told(config, "s1"), "live")["events"]
    assert "no call has that id" in screen(config, live["id"], code=1)

    async def keep() -> None:
        async with open_sinks(store_address(f"sqlite:{config.parent}/state")) as store:
            log = DeliveryLog(store, lambda: datetime.now(UTC), Policy(()), timedelta(days=7))
            one = Envelope(id=live["id"], kind=Kind.EVENT, source=SOURCE, at=at(5), body=b"{}")
            log.of("live", "written")([one], [None])
            await log.write()

    asyncio.run(keep())
    stray = told(config, live["id"].upper())
    assert (stray["event_id"], stray["letters"]) == (live["id"], [])
    assert [(row["sink"], row["answer"], row["end"]) for row in stray["attempts"]] == [("live", "written", "acked")]
    assert "live  attempt 1  written  acked" in screen(config, live["id"])
    assert outlet(told(config, "s1"), "live")["events"][0]["state"] == "acked"


@pytest.mark.parametrize("wanted", ["r1", "bound-1"])
def test_a_call_is_traced_by_an_id_of_its_record_or_binding(config: Path, wanted: str) -> None:
    assert told(config, wanted)["id"] == f"{SOURCE}:s1"


def test_a_number_of_several_calls_lists_them_and_their_events_choose(config: Path) -> None:
    text = screen(config, "138-0000-0021", code=1)
    assert A[3:] not in text
    assert "3100000011" not in text
    listed = told(config, "138-0000-0021", code=1)
    assert (listed["searched_back_to"], len(listed["calls"])) == (None, 2)
    newest, oldest = listed["calls"]
    assert (newest["caller"], newest["callee"]) == ("+86138****0021", "+86138****0022")
    assert newest["event_id"] in text
    assert "3100000011" in told(config, newest["event_id"], "--show-numbers")["id"]
    assert told(config, oldest["event_id"])["id"] == oldest["id"] == f"{SOURCE}:s1"


def test_json_masks_numbers_unless_they_are_asked_for(config: Path) -> None:
    assert A[3:] not in screen(config, "s1", "--json")
    assert {A, B} <= set(str(told(config, "s1", "--show-numbers")).split("'"))
    assert told(config, "nobody's", code=1) == {"calls": [], "searched_back_to": None}


async def test_a_letter_of_a_private_queue_is_found_by_the_id_that_its_event_has_there(tmp_path: Path) -> None:
    """Its broker is away, so nobody tells what waits there."""
    rig = SqliteRig(tmp_path / "state")
    rows = [{"name": "bi", "fields": {"numbers": "token"}, "token_key": "k" * 32}]
    address = f"amqp://guest:guest@127.0.0.1:{free_port()}/"
    config = Config.model_validate({"broker": address, "store": f"sqlite:{tmp_path}/state", "queue": rows})
    view = config.queue[0].view
    assert view is not None
    async with rig.open_claims(), rig.open_sessions() as sessions, rig.open_parked() as parked:
        (said,) = [one for one in await fold(sessions, a_cdr(session=NUMBERS_ID, implies=()), told=70) if event(one)]
        await marked(sessions, [said.id], told=71)
        there = view(said)
        assert there.id != said.id
        await parked.park([a_letter(there, stage="queue:bi", reason="rejected", told=80)])
    assert await delivered(rig, config, f"{SOURCE}:{NUMBERS_ID}") == {"bi": ("dead", 1)}
