"""What an operator sees, through the command itself: 80 columns in a pipe, and whatever is copied stands whole."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner

from console.main import app
from schemas.envelope import Envelope, JsonObject, Kind, encode_envelope
from schemas.notification import Notification, to_json
from tests.building.facts import T0, all_events
from tests.building.stores import SqliteRig, a_whole_call, at, fold
from workers.park import Parked

WIDTH = 80
SOURCE = "a-source-whose-name-is-as-long-as-it-may"  # 40 characters
SINK = "a-sink-whose-name-is-just-as-long-as-it-"
SESSION = "1200_1827_4294967295_20190124023003@callenabler246.huaweicaas.com"
NUMBER = "+8613800000021"
EXAMPLE = "0196f0aa-6f3c-7c1e-9d52-0f1f3c6f9f10"
REASON = "Transient: the platform answered HTTP 503 again and again, and its last answer named no time to wait for"


def a_config(directory: Path) -> Path:
    config = directory / "config.toml"
    config.write_text(
        f'broker = "embedded:{directory}/broker.db"\nstore = "sqlite:{directory}/state"\n'
        f'[[source]]\nname = "{SOURCE}"\nplatform = "huawei_privatenumber"\ntokens = ["a-token"]\n'
        f'[[sink]]\nname = "{SINK}"\nkind = "jsonl"\npath = "{directory}/calls.jsonl"\n'
    )
    return config


def a_parked(number: int, box: str, body: JsonObject, *, stage: str, reason: str) -> Parked:
    envelope = Envelope(id=EXAMPLE, kind=Kind.QUARANTINED, source=SOURCE, at=T0, body=body)
    return Parked(
        id=EXAMPLE if number == 0 else f"{EXAMPLE[:-1]}{number}",
        box=box,
        stage=stage,
        source=SOURCE,
        reason=reason,
        signature="a1b2c3d4e5f6",
        at=at(number),
        raw=encode_envelope(envelope),
    )


async def fill(directory: Path) -> None:
    """A call of a long id, two groups set aside, and nothing on the broker."""
    rig = SqliteRig(directory / "state")
    facts = [replace(fact, source=SOURCE, session_id=SESSION) for fact in (*all_events(), a_whole_call())]
    async with rig.open_claims(), rig.open_sessions() as sessions, rig.open_parked() as parked:
        await fold(sessions, *facts, told=100)
        pushed = Notification(
            path="/fee",
            remote="192.0.2.1",
            content_type="application/json",
            body=json.dumps({"feeLst": [{"callerNum": NUMBER, "sessionId": SESSION}]}).encode(),
        )
        raw = {"reason": "no_fee_list", "stage": "dedupe", "envelope": {"body": to_json(pushed)}}
        await parked.park(
            [
                *(a_parked(n, "quarantine", raw, stage="dedupe", reason="no_fee_list") for n in range(3)),
                a_parked(9, "dead", raw, stage=f"callstitch.sink.{SINK}.v1", reason=REASON),
            ]
        )


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """A command sets up the logs of its process, which here is that of all tests."""
    loggers = [logging.getLogger(name) for name in (None, "aiormq", "aio_pika", "aiohttp", "asyncio")]
    before = [(logger, logger.level, logger.handlers[:]) for logger in loggers]
    yield
    structlog.reset_defaults()
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("screens")
    asyncio.run(fill(directory))
    return a_config(directory)


def screen(config: Path, *arguments: str, code: int = 0) -> str:
    ended = CliRunner().invoke(app, [*arguments, "--config", str(config)])
    assert ended.exit_code == code, ended.output
    return ended.output


def too_wide(text: str) -> list[str]:
    """Lines over 80 columns that could have been broken: a line of one word cannot."""
    return [line for line in text.splitlines() if len(line) > WIDTH and len(line.split()) > 1]


def test_a_trace_fits_and_its_ids_are_whole(config: Path) -> None:
    text = screen(config, "trace", SESSION)
    assert too_wide(text) == []
    assert f"{SOURCE}:{SESSION}" in text.splitlines()
    assert "times in Asia/Shanghai" in text
    assert "published: callstitch.call.completed.v1" in text
    assert "+86138****0021" in text
    assert NUMBER not in text
    assert NUMBER in screen(config, "trace", SESSION, "--show-numbers")


@pytest.mark.parametrize(("box", "stage"), [("quarantine", "dedupe"), ("dead", f"callstitch.sink.{SINK}.v1")])
def test_a_list_of_what_was_set_aside_fits_and_its_ids_are_whole(config: Path, box: str, stage: str) -> None:
    text = screen(config, box, "list")
    assert too_wide(text) == []
    words = text.split()
    assert {"a1b2c3d4e5f6", stage, SOURCE} <= set(words)
    assert any(word.startswith(EXAMPLE[:-1]) for word in words)


def test_what_was_set_aside_is_shown_with_numbers_masked_and_ids_readable(config: Path) -> None:
    masked, clear = (
        screen(config, "quarantine", "show", EXAMPLE),
        screen(config, "quarantine", "show", EXAMPLE, "--show-numbers"),
    )
    (masked_row, clear_row) = json.loads(masked), json.loads(clear)
    assert masked_row | {"raw": None} == clear_row | {"raw": None}
    assert clear_row["first_at"] == "2026-11-21T08:00:00Z"
    text = masked_row["raw"]["body"]["envelope"]["body"]["text"]
    assert json.loads(text) == {"feeLst": [{"callerNum": "+86138****0021", "sessionId": SESSION}]}
    assert NUMBER in clear


def test_the_ledger_fits_and_names_its_queues_whole(config: Path) -> None:
    text = screen(config, "reconcile", "--tz", "UTC", code=1)
    assert too_wide(text) == []
    assert f"callstitch.sink.{SINK}.v1" in text.split()
    assert f"  {T0:%Y-%m-%d %H}:00 " in text
    assert "times in UTC" in text


def test_a_time_without_a_zone_is_one_of_the_screen(config: Path) -> None:
    """T0 is at 16:00 in Shanghai and 08:00 in UTC."""
    for given, zone in (("2026-11-21T17:00", "Asia/Shanghai"), ("2026-11-21T09:00", "UTC"), ("2026-11-21T09:00Z", "")):
        text = screen(config, "reconcile", "--since", given, *(["--tz", zone] if zone else []))
        assert "nothing was answered in that time" in text
    assert "2026-11-21 16:00" in screen(config, "reconcile", "--since", "2026-11-21T16:00", code=1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--tz", "Asia/Beijing"], "a time zone looks like"),
        (["--since", "yesterday"], "a time looks like"),
    ],
)
def test_a_zone_or_a_time_that_is_none_is_a_usage_error(config: Path, arguments: list[str], said: str) -> None:
    assert said in " ".join(screen(config, "reconcile", *arguments, code=2).split())


@pytest.mark.parametrize(
    ("box", "said"), [("quarantine", "the quarantine is empty\n"), ("dead", "there are no dead letters\n")]
)
def test_an_empty_list_says_so(tmp_path: Path, box: str, said: str) -> None:
    async def make() -> None:
        async with SqliteRig(tmp_path / "state").open_parked():
            pass

    asyncio.run(make())
    assert screen(a_config(tmp_path), box, "list") == said


def test_the_command_names_its_version() -> None:
    ended = CliRunner().invoke(app, ["--version"])
    assert (ended.exit_code, ended.output) == (0, f"callstitch {version('callstitch')}\n")


def test_zones_are_known_where_the_system_has_none() -> None:
    environ = {**os.environ, "PYTHONTZPATH": ""}
    subprocess.run([sys.executable, "-c", "import console.moments"], env=environ, check=True)


OBEYED = [chr(point) for point in range(sys.maxunicode + 1)
          if unicodedata.category(chr(point)) in ("Cc", "Cf", "Zl", "Zp")]  # fmt: skip
"""All that a terminal may obey: controls of both sets, formats such as bidirectional overrides, and line separators."""
HOSTILE = f"evil{''.join(OBEYED)}-LEGIT-1"
NUMBERS_ID = "+8613100000011_+8613200000012_4_627e5c1f_963036_669_1_0"


async def fill_hostile(directory: Path) -> None:
    """Two calls whose ids end alike and hold all that a terminal obeys, one made of numbers, and hostile pushes."""
    rig = SqliteRig(directory / "state")
    cdr = a_whole_call()
    texts = {"text": json.dumps({HOSTILE: HOSTILE, "sessionId": NUMBERS_ID, "callerNum": "138 0000 0021"})}
    raw = {"reason": HOSTILE, "stage": "dedupe", "envelope": {"body": texts, "source": HOSTILE}}
    async with rig.open_claims(), rig.open_sessions() as sessions, rig.open_parked() as parked:
        for session in (HOSTILE, f"x{HOSTILE}", NUMBERS_ID):
            await fold(sessions, replace(cdr, source=SOURCE, session_id=session), told=100)
        for box in ("quarantine", "dead"):
            await parked.park([a_parked(len(box), box, raw, stage=HOSTILE, reason=HOSTILE)])


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("hostile")
    asyncio.run(fill_hostile(directory))
    return a_config(directory)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["trace", "LEGIT-1"], 1),
        (["trace", f"{SOURCE}:{HOSTILE}"], 0),
        (["trace", f"{SOURCE}:{HOSTILE}", "--show-numbers"], 0),
        (["trace", f"nobody{HOSTILE}"], 1),
        (["quarantine", "list"], 0),
        (["quarantine", "show", "a1b2c3d4e5f6"], 0),
        (["quarantine", "show", "a1b2c3d4e5f6", "--show-numbers"], 0),
        (["dead", "list"], 0),
        (["dead", "show", "a1b2c3d4e5f6"], 0),
        (["reconcile"], 1),
        (["reconcile", "--json"], 1),
        (["check"], 78),
        (["config", "show"], 0),
    ],
)
def test_no_command_prints_what_a_terminal_obeys(hostile: Path, arguments: list[str], code: int) -> None:
    text = screen(hostile, *arguments, code=code)
    assert [hex(ord(one)) for one in OBEYED if one in text and one != "\n"] == []
    assert not [line for line in text.splitlines() if line.startswith("-LEGIT")]


def test_what_json_shows_is_what_came(hostile: Path) -> None:
    shown = json.loads(screen(hostile, "quarantine", "show", "a1b2c3d4e5f6", "--show-numbers"))
    assert shown["reason"] == HOSTILE
    assert HOSTILE in json.loads(shown["raw"]["body"]["envelope"]["body"]["text"])


def test_a_trace_shows_no_number_in_its_first_line_either(hostile: Path) -> None:
    shown = screen(hostile, "trace", NUMBERS_ID)
    assert shown.replace("\n", " ").startswith(f"call {SOURCE}:+86131****0011_+86132****0012_4_")
    assert "3100000011" not in shown
    assert "3100000011" in screen(hostile, "trace", NUMBERS_ID, "--show-numbers")


@pytest.mark.parametrize("box", ["quarantine", "dead"])
def test_what_was_set_aside_shows_no_number_in_its_ids(hostile: Path, box: str) -> None:
    shown = screen(hostile, box, "show", "a1b2c3d4e5f6")
    assert "131****0011" in shown
    assert "3100000011" not in shown


def test_text_leaves_by_one_place() -> None:
    """`console.screen` escapes what a terminal obeys; a print or an echo elsewhere would not."""
    own = {path for path in Path("console").rglob("*.py") if path != Path("console/screen.py")}
    assert [path for path in sorted(own) if re.search(r"typer\.echo\(|rich\.console|\bprint\(", _own_calls(path))] == []


def _own_calls(path: Path) -> str:
    return path.read_text().replace("out.print(", "")
