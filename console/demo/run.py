"""`make demo`: the pipeline and the platform as two processes, and a ledger checked against the platform's truth."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rich.console import Console

from console.config_file import load_config, read_toml
from console.demo.check import Truth, faults, latest_records, left_open, read_events, read_truth
from console.demo.config import SOURCES, Places, config_text
from console.demo.report import show_calls, show_evidence, show_ledger, show_sources, show_timeline
from console.ledger.account import read_ledger, totals
from console.reading import holds_state, open_reads
from console.sabotage import VARIABLE
from runtime.broker import open_broker
from schemas.envelope import JsonObject
from schemas.errors import Misconfigured, Unavailable
from workers.config import Config
from workers.wiring import config_topology

DIRECTORY: Final = Path("var/demo")
CALLS: Final = 200
MESSAGES: Final = 10  # SMS and number states, of each platform that has them
START_SECONDS: Final = 60.0  # some two on a machine of its own
SETTLE_SECONDS: Final = 45.0  # for everything to drain after the last push
POLL_SECONDS: Final = 0.2
DECIDED: Final = "callstitch.call.decided.v1"
# A pure function of one fact, so that no store keeps them (docs/design.md section 5).
TOLD_AT_ONCE: Final = frozenset(
    {DECIDED, "callstitch.call.progress.v1", "callstitch.number.changed.v1", "callstitch.platform.notified.v1"}
)
STARTS: Final = 4  # `up` is started again when it dies, as a container would be

WIDTH: Final = 132  # narrower, the table of calls would lose its numbers

out = Console(soft_wrap=True, width=max(Console().width, WIDTH))


@dataclass(kw_only=True)
class _Demo:
    config_path: Path
    config: Config
    places: Places
    up: subprocess.Popen[bytes] | None = None
    starts: int = 0
    log: Path = field(default=DIRECTORY / "up.log")


def run_demo(given: Path | None, *, stay: bool) -> int:
    """Play 200 calls, then compare; 0 when the ledger balances, else 1 with every difference named.

    `given`: a config whose broker, store and queues the demo takes over, for example RabbitMQ.
    """
    began = time.monotonic()
    demo = _prepare(given)
    asyncio.run(_refuse_leftovers(demo.config))
    with _running(demo):
        broker = demo.config.broker.text.partition(":")[0]
        out.print(f"playing {CALLS} calls of {len(SOURCES)} platforms over HTTP; broker: {broker}; some 20 seconds\n",
                  highlight=False)  # fmt: skip
        emulator = _start_emulator(demo)
        try:
            settled = _play(demo, emulator)
            code = _report(demo, settled=settled, seconds=time.monotonic() - began)
            if stay:
                out.print("staying up; stop with Ctrl-C; the door:")
                for source in SOURCES:
                    out.print(f"  POST {demo.places.address(source)}", markup=False, highlight=False)
                _stay(demo)
        finally:
            emulator.terminate()
            emulator.wait(10)
    return code


def _prepare(given: Path | None) -> _Demo:
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    DIRECTORY.mkdir(parents=True, mode=0o700)
    door, admin, recordings = (f"127.0.0.1:{port}" for port in _free_ports(3))
    places = Places(
        directory=DIRECTORY,
        door=door,
        admin=admin,
        recordings=recordings,
        tokens={source: secrets.token_urlsafe(24) for source in SOURCES},
        secret=secrets.token_urlsafe(18),
    )
    path = DIRECTORY / "config.toml"
    path.touch(mode=0o600)
    path.write_text(config_text(read_toml(given) if given else {}, places))
    return _Demo(config_path=path, config=load_config(path), places=places)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


async def _refuse_leftovers(config: Config) -> None:
    """What a queue or a database still holds of another run would make this ledger a riddle."""
    if await asyncio.to_thread(holds_state, config):
        raise Misconfigured("the demo wants an empty database")
    if config.broker.embedded:
        return
    async with open_broker(config.broker) as broker:
        depths = await broker.depths([queue.name for queue in config_topology(config).queues])
    full = [f"{name} ({depth})" for name, depth in depths.items() if depth]
    if full:
        raise Misconfigured(f"the demo wants an empty virtual host; these queues hold messages: {', '.join(full)}")


@contextmanager
def _running(demo: _Demo) -> Iterator[None]:
    _start_up(demo)
    try:
        yield
    finally:
        if demo.up is not None and demo.up.poll() is None:
            demo.up.terminate()
            if demo.up.wait(25) != 0:
                out.print(f"up ended with exit code {demo.up.returncode}; see {demo.log}")


def _start_up(demo: _Demo) -> None:
    environ = dict(os.environ)
    if demo.starts == 0 and "SABOTAGE" in environ:
        environ[VARIABLE] = environ["SABOTAGE"]
    demo.starts += 1
    with demo.log.open("ab") as log:
        command = [sys.executable, "-m", "console", "up", "--config", str(demo.config_path)]
        demo.up = subprocess.Popen(command, stdout=log, stderr=log, env=environ)  # noqa: S603 - our own command
    deadline = time.monotonic() + START_SECONDS
    while not _is_ready(demo.config.ingest.admin):
        if demo.up.poll() is not None or time.monotonic() > deadline:
            raise Unavailable(f"up did not start (exit code {demo.up.returncode}); see {demo.log}")
        time.sleep(POLL_SECONDS)


def _is_ready(admin: str) -> bool:
    try:
        with closing(urllib.request.urlopen(f"http://{admin}/readyz", timeout=2)) as answer:
            return bool(answer.status == 200)  # noqa: PLR2004 - OK
    except (OSError, urllib.error.URLError):
        return False


def _start_emulator(demo: _Demo) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "console", "emulate", "--calls", str(CALLS), "--ask"]
    command += ["--messages", str(MESSAGES)]
    for source, (platform, _) in SOURCES.items():
        command += ["--to", f"{platform}={demo.places.address(source)}"]
    command += ["--truth", str(DIRECTORY / "sent.jsonl"), "--recordings", demo.places.recordings, "--linger", "-1"]
    environ = {**os.environ, "CALLSTITCH_EMULATOR_SECRET": demo.places.secret}
    return subprocess.Popen(command, env=environ)  # noqa: S603 - our own command


def _play(demo: _Demo, emulator: subprocess.Popen[bytes]) -> bool:
    """Wait for the last push and then for everything to drain; False when it did not in time."""
    truth = DIRECTORY / "sent.jsonl"
    while read_truth(truth).end is None:
        if emulator.poll() is not None:
            raise Unavailable(f"the emulator ended early (exit code {emulator.returncode})")
        _keep_up(demo)
        time.sleep(POLL_SECONDS)
    deadline = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < deadline:
        _keep_up(demo)
        if _is_settled(demo.config) and _is_settled_still(demo.config):
            return True
        time.sleep(POLL_SECONDS)
    return False


def _keep_up(demo: _Demo) -> None:
    assert demo.up is not None
    code = demo.up.poll()
    if code is None:
        return
    if demo.starts >= STARTS:
        raise Unavailable(f"up died {demo.starts} times; see {demo.log}")
    out.print(f"up died (exit code {code}); starting it again, as a supervisor would")
    _start_up(demo)


def _is_settled(config: Config) -> bool:
    """Nothing is due, everything made is at the sink, and every recording has ended."""
    reads = open_reads(config)
    delivered = {event["id"] for event in read_events(DIRECTORY / "calls.jsonl")}
    if reads.due() > left_open(read_truth(DIRECTORY / "sent.jsonl")) or not reads.event_ids() <= delivered:
        return False
    records = latest_records(read_events(DIRECTORY / "calls.jsonl"))
    return not any(row["state"] == "wanted" for record in records.values() for row in record["recordings"])


def _is_settled_still(config: Config) -> bool:
    time.sleep(1.5)
    return _is_settled(config)


def _report(demo: _Demo, *, settled: bool, seconds: float) -> int:
    truth, events = read_truth(DIRECTORY / "sent.jsonl"), read_events(DIRECTORY / "calls.jsonl")
    ledger = _ledger(demo.config, truth, events)
    found = [*faults(truth, events, deaths=demo.starts - 1), *ledger["differences"]]
    if not settled:
        found.append(f"not everything had drained {SETTLE_SECONDS:.0f} s after the last push")
    ledger |= {"balanced": not found, "differences": found, "seconds": round(seconds, 1), "starts": demo.starts}
    (DIRECTORY / "ledger.json").write_text(json.dumps(ledger, indent=1))
    show_calls(out, latest_records(events))
    show_sources(out, latest_records(events), ledger)
    show_timeline(out, events)
    show_ledger(out, ledger)
    show_evidence(out, DIRECTORY, events)
    return 0 if not found else 1


def _ledger(config: Config, truth: Truth, events: list[JsonObject]) -> JsonObject:
    reads = open_reads(config)
    counts = totals(read_ledger(reads, since=None, until=None, source=None))
    end = truth.end or {}
    made, delivered = reads.event_ids(), {event["id"] for event in events if event["type"] not in TOLD_AT_ONCE}
    decided = {event["subject"] for event in events if event["type"] == DECIDED or _is_decided_sms(event)}
    parked = {
        box: sum(group["count"] for group in reads.parked_groups(box)) for box in ("quarantine", "dead", "unrouted")
    }
    differences = list(_differences(end, counts, made=made, delivered=delivered, parked=parked))
    repeated = len(events) - len({event["id"] for event in events})
    return {
        "platform": end,
        "ours": counts,
        "events": {
            "made": len(made),
            "delivered": len(delivered),
            "delivered_again": repeated,
            "decided": len(decided),
        },
        "parked": parked,
        "differences": differences,
    }


def _is_decided_sms(event: JsonObject) -> bool:
    """An SMS that waited has its decision in `sms.notified` alone."""
    return event["data"].get("sms", {}).get("decision") is not None


def _differences(
    end: JsonObject, ours: JsonObject, *, made: frozenset[str], delivered: set[str], parked: JsonObject
) -> Iterator[str]:
    accounted = ours["unique"] + ours["amended"] + ours["duplicate"] + ours["quarantined"]
    distinct = ours["unique"] + ours["amended"]
    if ours["receipts"] < end["posts_200"]:
        yield f"{end['posts_200'] - ours['receipts']} posts were answered 200 and have no receipt"
    if ours["items"] != accounted:
        yield f"{ours['items']} items, but {accounted} are accounted for"
    if distinct < end["distinct_items_accepted"]:
        yield f"{end['distinct_items_accepted']} distinct items were accepted, {distinct} are known"
    told, played = end["calls_told"] + end["messages_told"], end["calls"] + end["messages"]
    if not told <= ours["sessions"] <= played:
        yield f"{told} calls and SMS were told of {played} played, {ours['sessions']} sessions are known"
    yield from (f"the platform's side: {fault}" for fault in end["faults"])
    if made != delivered:
        yield f"{len(made - delivered)} events were made and not delivered, {len(delivered - made)} the other way round"
    for box, count in parked.items():
        if count:
            yield f"{count} message(s) in {box}"


def _stay(demo: _Demo) -> None:
    assert demo.up is not None
    with suppress(KeyboardInterrupt):
        demo.up.wait()
