"""`make demo`: the pipeline and the platform as two processes, and a ledger checked against the platform's truth."""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import subprocess
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from console.config_file import load_config, read_toml
from console.demo.books import demo_ledger
from console.demo.check import faults, latest_records, left_open, read_events, read_truth
from console.demo.config import SOURCES, Places, config_text
from console.demo.processes import CALLS, POLL_SECONDS, Demo, free_ports, keep_up, running, start_emulator
from console.demo.report import show_calls, show_evidence, show_ledger, show_sources, show_timeline
from console.reading import ask_store
from console.screen import out
from runtime.broker import open_broker
from schemas.errors import Misconfigured, Unavailable
from workers.config import Config
from workers.stores import open_reads
from workers.stores.reads import OutboxReads
from workers.wiring import config_topology

DIRECTORY: Final = Path("var/demo")
SETTLE_SECONDS: Final = 45.0  # for everything to drain after the last push


def run_demo(given: Path | None, zone: ZoneInfo, *, stay: bool) -> int:
    """Play 200 calls, then compare; 0 when the ledger balances, else 1 with every difference named.

    `given`: a config whose broker, store and queues the demo takes over, for example RabbitMQ. Times are shown in
    `zone`.
    """
    began = time.monotonic()
    demo = _prepare(given)
    asyncio.run(_refuse_leftovers(demo.config))
    with running(demo):
        broker = demo.config.broker.text.partition(":")[0]
        out.print(f"playing {CALLS} calls of {len(SOURCES)} platforms over HTTP (broker: {broker}), some 20 seconds\n")
        emulator = start_emulator(demo)
        try:
            settled = _play(demo, emulator)
            code = _report(demo, zone, settled=settled, seconds=time.monotonic() - began)
            if stay:
                out.print("staying up; stop with Ctrl-C; the door:")
                for source in SOURCES:
                    out.print(f"  POST {demo.places.address(source)}")
                _stay(demo)
        finally:
            emulator.terminate()
            emulator.wait(10)
    return code


def _prepare(given: Path | None) -> Demo:
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    DIRECTORY.mkdir(parents=True, mode=0o700)
    door, admin, recordings = (f"127.0.0.1:{port}" for port in free_ports(3))
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
    return Demo(config_path=path, config=load_config(path), places=places)


async def _refuse_leftovers(config: Config) -> None:
    """What a queue or a database still holds of another run would make this ledger a riddle."""
    async with open_reads(config.store) as reads:
        if await reads.holds_state():
            raise Misconfigured("the demo needs an empty database")
    if config.broker.embedded:
        return
    async with open_broker(config.broker) as broker:
        depths = await broker.depths([queue.name for queue in config_topology(config).queues])
    full = [f"{name} ({depth})" for name, depth in depths.items() if depth]
    if full:
        raise Misconfigured(f"the demo needs an empty virtual host; these queues hold messages: {', '.join(full)}")


def _play(demo: Demo, emulator: subprocess.Popen[bytes]) -> bool:
    """Wait for the last push and then for everything to drain; False when it did not in time."""
    truth = demo.places.truth
    while read_truth(truth).end is None:
        if emulator.poll() is not None:
            raise Unavailable(f"the emulator ended early (exit code {emulator.returncode})")
        keep_up(demo)
        time.sleep(POLL_SECONDS)
    deadline = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < deadline:
        keep_up(demo)
        if _is_settled(demo) and _is_settled_still(demo):
            return True
        time.sleep(POLL_SECONDS)
    return False


def _is_settled(demo: Demo) -> bool:
    """Nothing is due, everything made is at the sink, and every recording has ended."""
    delivered = {event["id"] for event in read_events(demo.places.events)}
    due, made = ask_store(demo.config.store, _left_to_do)
    if due > left_open(read_truth(demo.places.truth)) or not made <= delivered:
        return False
    records = latest_records(read_events(demo.places.events))
    return not any(row["state"] == "wanted" for record in records.values() for row in record["recordings"])


async def _left_to_do(reads: OutboxReads) -> tuple[int, frozenset[str]]:
    return await reads.due(), await reads.event_ids()


def _is_settled_still(demo: Demo) -> bool:
    time.sleep(1.5)
    return _is_settled(demo)


def _report(demo: Demo, zone: ZoneInfo, *, settled: bool, seconds: float) -> int:
    truth, events = read_truth(demo.places.truth), read_events(demo.places.events)
    ledger = asyncio.run(demo_ledger(demo.config, truth, events, now=datetime.now(UTC)))
    found = [*faults(truth, events, deaths=demo.starts - 1), *ledger["differences"]]
    if not settled:
        found.append(f"not everything had drained {SETTLE_SECONDS:.0f} s after the last push")
    ledger |= {"balanced": not found, "differences": found, "seconds": round(seconds, 1), "starts": demo.starts}
    demo.places.ledger.write_text(json.dumps(ledger, indent=1))
    show_calls(out, latest_records(events), zone)
    show_sources(out, latest_records(events), ledger)
    show_timeline(out, events, zone)
    show_ledger(out, ledger)
    show_evidence(out, demo.places.directory, events)
    return 0 if not found else 1


def _stay(demo: Demo) -> None:
    assert demo.up is not None
    with suppress(KeyboardInterrupt):
        demo.up.wait()
