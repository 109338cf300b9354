"""`make demo`: the pipeline and the platform as two processes, and a ledger checked against the platform's truth."""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from console.config_file import load_config, read_toml
from console.demo.check import latest_records, read_events, read_truth
from console.demo.config import SOURCES, Places, config_text
from console.demo.processes import CALLS, POLL_SECONDS, Demo, free_ports, keep_up, running, start_emulator
from console.demo.report import show_calls, show_evidence, show_ledger, show_sources, show_timeline
from console.demo.settling import SETTLE_SECONDS, Evidence, compared, is_settled, refuse_leftovers
from console.screen import out
from schemas.errors import Unavailable

DIRECTORY: Final = Path("var/demo")


def run_demo(given: Path | None, zone: ZoneInfo, *, stay: bool) -> int:
    """Play 200 calls, then compare; 0 when the ledger balances, else 1 with every difference named.

    `given`: a config whose broker, store and queues the demo takes over, for example RabbitMQ. Times are shown in
    `zone`.
    """
    began = time.monotonic()
    demo = _prepare(given)
    asyncio.run(refuse_leftovers(demo.config))
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
        if is_settled(_evidence(demo)):
            return True
        time.sleep(POLL_SECONDS)
    return False


def _evidence(demo: Demo) -> Evidence:
    return Evidence(config=demo.config, truth=demo.places.truth, events=demo.places.events)


def _report(demo: Demo, zone: ZoneInfo, *, settled: bool, seconds: float) -> int:
    events = read_events(demo.places.events)
    ledger = compared(_evidence(demo), settled=settled, deaths=demo.starts - 1)
    ledger |= {"seconds": round(seconds, 1), "starts": demo.starts}
    demo.places.ledger.write_text(json.dumps(ledger, indent=1))
    show_calls(out, latest_records(events), zone)
    show_sources(out, latest_records(events), ledger)
    show_timeline(out, events, zone)
    show_ledger(out, ledger)
    show_evidence(out, demo.places.directory, events)
    return 0 if ledger["balanced"] else 1


def _stay(demo: Demo) -> None:
    assert demo.up is not None
    with suppress(KeyboardInterrupt):
        demo.up.wait()
