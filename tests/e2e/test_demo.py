"""`callstitch up --demo`: it balances, it can fail, it survives its pipeline's death, and it leaves no process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pika
import pytest

from console.demo.check import latest_records, read_events, read_truth
from console.demo.processes import CALLS
from console.demo.report import EVIDENCE
from console.emulator.recordings import TIMES_MISSING, Recordings
from tests.building.schemas import problems
from tests.e2e.programs import Program, end, wait_for

DEMO_SECONDS = 240.0  # alone it takes 20; here five play at once, and one that lost something waits 45 s for it
KILL_AFTER_CALLS = 60
READ_BY_AMQP_CONSUME = 40
CLOSED = 7  # questions that a rule answers with close, or by default on a machine that is too busy for it
LATE = 300  # milliseconds
PRODUCTS = {
    ("huawei_privatenumber", "privatenumber"),
    ("huawei_voicecall", "callback"),
    ("huawei_voicecall", "notify"),
    ("huawei_voicecall", "verify"),
    ("aliyun_pnp", "pnp"),
    ("jiuyun_axb", "axb"),
}
JIUYUN_TYPES = {1, 2, 7, 8, 9, 10, 22}
COMPLETED = "callstitch.call.completed.v1"


@dataclass(kw_only=True)
class Demo(Program):
    """A demo in a directory of its own."""

    @property
    def output(self) -> Path:
        """What it leaves behind."""
        return self.directory / "var/demo"

    def ledger(self) -> dict[str, Any]:
        """The ledger that it left."""
        found: dict[str, Any] = json.loads((self.output / "ledger.json").read_text())
        return found

    def calls_played(self) -> int:
        """How many calls are over for the platform."""
        return len(read_truth(self.output / "sent.jsonl").calls)


def a_demo(directory: Path, **environ: str) -> Demo:
    directory.mkdir(exist_ok=True)
    return Demo(arguments=("up", "--demo"), directory=directory, environ=environ, name="demo")


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Demo]]:
    """Five demos on the embedded default that play at the same time: each of them mostly waits."""
    directory = tmp_path_factory.mktemp("demos")
    found = {name: a_demo(directory / name) for name in ("plain", "killed")}
    found |= {name: a_demo(directory / name, SABOTAGE=name) for name in ("drop", "double", "ack_first")}
    try:
        for demo in found.values():
            demo.start()
        yield found
    finally:
        end(*found.values())


def test_up_killed_in_the_middle_is_started_again_and_the_ledger_balances(demos: Mapping[str, Demo]) -> None:
    demo = demos["killed"]
    wait_for(lambda: demo.calls_played() >= KILL_AFTER_CALLS, DEMO_SECONDS, why=demo.tail)

    os.kill(the_up_of(demo), signal.SIGKILL)

    assert demo.wait(DEMO_SECONDS) == 0, demo.tail()
    assert demo.ledger()["starts"] == 2
    assert demo.ledger()["balanced"] is True


@pytest.mark.rabbitmq
def test_the_demo_balances_on_rabbitmq_and_clients_from_elsewhere_read_billing(
    tmp_path: Path, fresh_amqp_url: str, amqp_consume: Path
) -> None:
    given = f'broker = "{fresh_amqp_url}"\n[[queue]]\nname = "billing"\nevents = ["call.completed", "call.amended"]\n'
    (tmp_path / "given.toml").write_text(given)
    demo = a_demo(tmp_path, CALLSTITCH_CONFIG="given.toml")
    try:
        demo.start()
        assert demo.wait(DEMO_SECONDS) == 0, demo.tail()
    finally:
        end(demo)

    first = read_with_amqp_consume(amqp_consume, fresh_amqp_url, count=READ_BY_AMQP_CONSUME)
    rest = read_with_pika(fresh_amqp_url)

    completed = [event for event in first + rest if event["type"] == COMPLETED]
    assert [event["specversion"] for event in first] == ["1.0"] * READ_BY_AMQP_CONSUME
    assert any(event["type"] == COMPLETED for event in first)
    assert any(event["type"] == COMPLETED for event in rest)
    told = read_truth(demo.output / "sent.jsonl").calls
    named = {session_id for session_id, line in told.items() if "sought" not in line}  # the rest has an id of ours
    assert named <= {event["data"]["call"]["session_id"] for event in completed}
    assert len({event["id"] for event in completed}) == CALLS


def test_the_demo_balances_and_leaves_its_evidence_but_no_process(demos: Mapping[str, Demo]) -> None:
    demo = demos["plain"]

    assert demo.wait(DEMO_SECONDS) == 0, demo.tail()

    assert demo.ledger() | {"balanced": True, "differences": [], "starts": 1} == demo.ledger()
    assert demo.ledger()["platform"]["calls"] == CALLS
    assert {"calls.jsonl", "recordings", "state", "sent.jsonl"} <= {path.name for path in demo.output.iterdir()}
    assert {name.removesuffix("/") for name in EVIDENCE} <= {path.name for path in demo.output.iterdir()}
    assert any(path.is_file() for path in (demo.output / "recordings").rglob("*"))
    assert processes_in(demo.directory) == {}


def test_the_demo_shows_every_platform_product_and_mode_and_its_questions(demos: Mapping[str, Demo]) -> None:
    demo = demos["plain"]
    assert demo.wait(DEMO_SECONDS) == 0, demo.tail()

    records = latest_records(read_events(demo.output / "calls.jsonl")).values()
    sent = [cdr["raw"] for record in records if record["source"] == "jiuyun" for cdr in record["cdrs"]]
    events = {event["type"].split(".", 1)[1] for event in read_events(demo.output / "calls.jsonl")}

    assert {(record["platform"], record["product"]) for record in records} == PRODUCTS
    assert {record["mode"] for record in records} == {"AX", "AXB", "AXE", "AXYB", "X", None}
    assert {int(raw["type"]) for raw in sent if "type" in raw} == JIUYUN_TYPES
    assert {"call.decided.v1", "sms.notified.v1", "number.changed.v1", "platform.notified.v1"} <= events
    asked = {name: played["questions"] for name, played in demo.ledger()["platform"]["sources"].items()}
    assert {name for name, questions in asked.items() if questions} == {"huawei", "aliyun"}
    decisions = [record["decision"] for record in records if record["decision"]]
    late = sum(decision["milliseconds"] >= LATE for decision in decisions)
    assert {decision["action"] for decision in decisions} == {"connect", "close"} or late >= CLOSED, decisions
    assert demo.ledger()["platform"]["answers_wrong"] == 0


def test_each_event_of_the_demo_is_what_its_schema_says(demos: Mapping[str, Demo]) -> None:
    demo = demos["plain"]
    assert demo.wait(DEMO_SECONDS) == 0, demo.tail()

    events = read_events(demo.output / "calls.jsonl")
    assert len(events) > CALLS
    assert {event["type"]: found for event in events if (found := problems(event))} == {}


def test_the_demo_stores_recordings_that_were_not_there_when_the_hang_up_named_them(demos: Mapping[str, Demo]) -> None:
    demo = demos["plain"]
    assert demo.wait(DEMO_SECONDS) == 0, demo.tail()

    records = latest_records(read_events(demo.output / "calls.jsonl")).values()
    stored = {row["sha256"] for record in records for row in record["recordings"] if row["state"] == "stored"}
    host = Recordings(seed=1, app_key="", app_secret="")  # what it serves, and when, follows from seed and name
    links = [name for line in jiuyun_calls(demo) for name in line["expect"]["recordings"]]
    late = [name for name in links if host.mood(name) in TIMES_MISSING]

    assert late, "the demo plays none of them"
    assert {host.audio_digest(name)["sha256"] for name in late} <= stored


@pytest.mark.parametrize("sabotage", ["drop", "double", "ack_first"])
def test_a_sabotaged_demo_fails_and_names_a_call_that_is_wrong(demos: Mapping[str, Demo], sabotage: str) -> None:
    demo = demos[sabotage]

    assert demo.wait(DEMO_SECONDS) == 1, demo.tail()

    assert demo.ledger()["balanced"] is False
    calls = read_truth(demo.output / "sent.jsonl").calls
    assert [difference for difference in demo.ledger()["differences"] if difference.split(": ")[0] in calls]
    assert processes_in(demo.directory) == {}


def jiuyun_calls(demo: Demo) -> list[dict[str, Any]]:
    calls = read_truth(demo.output / "sent.jsonl").calls.values()
    return [line for line in calls if line["source"] == "jiuyun"]


def read_with_amqp_consume(program: Path, url: str, *, count: int) -> list[dict[str, Any]]:
    command = [str(program), "--url", url, "--queue", "billing", "--count", str(count), "--prefetch-count", "10"]
    done = subprocess.run([*command, "--", "sh", "-c", "cat; echo"], capture_output=True, timeout=60, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def read_with_pika(url: str) -> list[dict[str, Any]]:
    """Everything that is left in the queue."""
    found = []
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    message_ids = set()
    while True:
        method, properties, body = channel.basic_get("billing", auto_ack=True)
        if method is None or properties is None or body is None:
            break
        assert properties.content_type == "application/cloudevents+json"
        assert properties.delivery_mode == 2
        message_ids.add(properties.message_id)
        found.append(json.loads(body))
    connection.close()
    assert None not in message_ids
    assert len(message_ids) == len(found), "message ids are unique per publish"
    return found


def the_up_of(demo: Demo) -> int:
    """The pid of the pipeline that the demo runs."""
    found = [
        pid
        for pid, command in processes_in(demo.directory).items()
        if command[-3:-1] == ["up", "--config"] and parent_of(pid) == demo.process.pid
    ]
    assert len(found) == 1
    return found[0]


def processes_in(directory: Path) -> dict[int, list[str]]:
    """The command line of each living process that works in that directory, by pid."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").readlink() == directory:
                found[int(entry.name)] = (entry / "cmdline").read_text().split("\0")[:-1]
        except OSError:  # it has ended, or is not ours
            continue
    return found


def parent_of(pid: int) -> int:
    """The pid of its parent (field 4 of /proc/PID/stat; the name before it stands in brackets)."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
