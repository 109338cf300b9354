"""Exit codes as documented, and messages that name the key at fault but never a value."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from console.main import app
from tests.e2e.programs import Program, end, wait_for
from tests.e2e.running import running_up
from tests.services import ports

COMMAND_SECONDS = 60.0
AWAY_SECONDS = 90.0  # a role keeps trying for 30 s, as the broker may start after it
VALUE = "hunter2-value"
SOURCE = '[[source]]\nname = "huawei"\nplatform = "huawei_privatenumber"\n'

# One for each place that finds a fault; tests/unit/console/test_config_file.py has the many ways to be wrong.
BAD_CONFIGS = {
    "an unknown key": (f'{SOURCE}tokens = ["{VALUE}"]\nappsecret = "{VALUE}"', "source.0.appsecret"),
    "a secret that is not in the environment": (f'{SOURCE}tokens = ["env:E2E_NOT_SET"]', "E2E_NOT_SET"),
    "a broker that nobody knows": (f'broker = "kafka://u:{VALUE}@host"', "broker"),
    "a store where a file is in the way": ('broker = "embedded:b.db"\nstore = "sqlite:config.toml"', "config.toml"),
    "a store that nobody knows": (f'broker = "embedded:b.db"\nstore = "mysql://u:{VALUE}@host"', "store"),
}


@dataclass(frozen=True, kw_only=True)
class Ended:
    code: int
    output: str


def callstitch(directory: Path, *arguments: str, **environ: str) -> Ended:
    """One command from start to end; `output` holds both of its outputs."""
    program = Program(arguments=arguments, directory=directory, environ=environ, name="command")
    program.log_file.unlink(missing_ok=True)
    try:
        program.start()
        return Ended(code=program.wait(COMMAND_SECONDS), output=program.log_file.read_text())
    finally:
        end(program)


@pytest.fixture(scope="module", autouse=True)
def up_without_rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """An `up` whose RabbitMQ is away, started before all tests of this module, for it takes its time."""
    directory = tmp_path_factory.mktemp("away")
    (directory / "config.toml").write_text(f'broker = "amqp://guest:{VALUE}@127.0.0.1:{ports.free_port()}/"')
    program = Program(arguments=("up", "--config", "config.toml"), directory=directory, environ={}, name="up")
    try:
        program.start()
        yield program
    finally:
        end(program)


@pytest.mark.parametrize(("text", "key"), BAD_CONFIGS.values(), ids=BAD_CONFIGS)
def test_a_bad_config_is_78_and_its_key_is_named_but_no_value(tmp_path: Path, text: str, key: str) -> None:
    (tmp_path / "config.toml").write_text(text)

    ended = callstitch(tmp_path, "up", "--config", "config.toml")

    assert ended.code == 78, ended.output
    assert key in ended.output
    assert VALUE not in ended.output
    assert "Traceback" not in ended.output


def test_a_second_up_on_the_same_files_is_78_and_the_first_goes_on(tmp_path: Path) -> None:
    with running_up(tmp_path) as up:
        free = {
            "CALLSTITCH_INGEST_LISTEN": f"127.0.0.1:{ports.free_port()}",
            "CALLSTITCH_INGEST_ADMIN": f"127.0.0.1:{ports.free_port()}",
        }

        same_broker = callstitch(tmp_path, "up", "--config", "config.toml", **{**up.environ, **free})
        same_store = callstitch(
            tmp_path,
            "up",
            "--config",
            "config.toml",
            **{**up.environ, **free, "CALLSTITCH_BROKER": "embedded:other.db"},
        )

        assert (same_broker.code, same_store.code) == (78, 78)
        assert "broker.db" in same_broker.output
        assert "another process owns state/" in same_store.output, "the file of whichever stage opens first"
        assert up.is_ready()
        assert up.post("axyb-event-callin.json") == 200


def test_a_door_that_is_taken_is_78(tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    with running_up(tmp_path) as up:
        (tmp_path / "second/config.toml").write_text(up.config.read_text())
        admin = f"127.0.0.1:{ports.free_port()}"

        ended = callstitch(
            tmp_path / "second", "up", "--config", "config.toml", **{**up.environ, "CALLSTITCH_INGEST_ADMIN": admin}
        )

    assert (ended.code, up.listen in ended.output) == (78, True), ended.output


DOOR = f"http://127.0.0.1:9/v1/huawei/{VALUE}"
USAGE = [
    ("work", "no-such-stage"),
    ("up", "--no-such-option"),
    ("dead", "replay"),
    ("quarantine", "release", "--dry-run"),
    ("emulate", "--to", VALUE),
    ("emulate", "--to", f"ftp://127.0.0.1/v1/huawei/{VALUE}"),
    ("emulate", "--to", f"http://127.0.0.1:port/v1/huawei/{VALUE}"),
    ("emulate", "--to", f"http://127.0.0.1:9/{VALUE}"),
    ("emulate", "--to", DOOR, "--rate", "-1"),
    ("emulate", "--to", DOOR, "--repush-factor", "0"),
    ("emulate", "--to", DOOR, "--recordings", "nowhere"),
]


@pytest.mark.parametrize("arguments", USAGE, ids=" ".join)
def test_usage_is_2(arguments: tuple[str, ...]) -> None:
    """In this process, as none of them gets as far as to start anything; the next test starts one."""
    ended = CliRunner().invoke(app, arguments)

    assert ended.exit_code == 2, ended.output
    assert VALUE not in ended.output


def test_usage_is_2_and_shows_no_traceback(tmp_path: Path) -> None:
    ended = callstitch(tmp_path, "emulate", "--to", VALUE)

    assert (ended.code, VALUE in ended.output) == (2, False), ended.output
    assert "Traceback" not in ended.output


def test_an_emulator_that_nobody_answers_is_1_and_says_where_to_look(tmp_path: Path) -> None:
    ended = callstitch(tmp_path, "emulate", "--to", DOOR, "--calls", "1", "--repush-factor", "100000")

    assert (ended.code, "no post was answered 200" in ended.output) == (1, True), ended.output
    assert VALUE not in ended.output


def test_an_emulator_that_cannot_write_its_truth_is_78(tmp_path: Path) -> None:
    ended = callstitch(tmp_path, "emulate", "--to", DOOR, "--calls", "1", "--truth", str(tmp_path))

    assert (ended.code, str(tmp_path) in ended.output) == (78, True), ended.output
    assert "Traceback" not in ended.output


def test_a_demo_on_a_config_that_is_not_there_is_78(tmp_path: Path) -> None:
    ended = callstitch(tmp_path, "up", "--demo", "--config", "no-such.toml")

    assert (ended.code, "no-such.toml" in ended.output) == (78, True), ended.output
    assert "Traceback" not in ended.output


READING = [("trace", "x"), ("quarantine", "list"), ("dead", "show", "x"), ("dead", "replay", "x"), ("reconcile",)]


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_a_store_that_is_not_there_or_damaged_is_78_and_its_file_is_named(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    (tmp_path / "config.toml").write_text("")
    away = callstitch(tmp_path, *arguments, "--config", "config.toml")
    (tmp_path / "var/state").mkdir(parents=True)
    for name in ("dedupe", "correlate", "park"):
        (tmp_path / f"var/state/{name}.db").write_bytes(b"no database at all " * 400)
    damaged = callstitch(tmp_path, *arguments, "--config", "config.toml")

    for ended, said in ((away, "there is no state file var/state/"), (damaged, "cannot read var/state/")):
        assert (ended.code, said in ended.output) == (78, True), ended.output
        assert "Traceback" not in ended.output


def test_a_call_or_message_that_nobody_knows_is_1(tmp_path: Path) -> None:
    with running_up(tmp_path) as up:
        assert up.post("axyb-event-callin.json") == 200
        config = ("--config", "config.toml")
        trace, shown, replayed, strange = (
            callstitch(tmp_path, *arguments, *config, **up.environ)
            for arguments in (
                ("trace", "nobody"),
                ("quarantine", "show", "x"),
                ("dead", "replay", "x"),
                ("reconcile", "--source", "nobody"),
            )
        )

    assert (trace.code, trace.output) == (1, "callstitch: no call has that id or number\n")
    assert (shown.code, shown.output) == (1, "callstitch: nothing has that id or signature\n")
    assert (replayed.code, replayed.output) == (1, "callstitch: nothing that was chosen is in there\n")
    assert (strange.code, "has a source of that name" in strange.output) == (2, True), strange.output


def test_config_show_redacts_every_secret(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{VALUE}-file\n")
    (tmp_path / "config.toml").write_text(
        'broker = "amqp://guest@127.0.0.1/"\n'
        f'{SOURCE}tokens = ["env:E2E_A", "{VALUE}-clear"]\napp_key = "KEY"\napp_secret = "file:secret"\n'
        '[[sink]]\nname = "crm"\nkind = "webhook"\nurl = "https://crm.example.com/calls"\nsecret = "env:E2E_B"\n'
    )
    secrets = {"E2E_A": f"{VALUE}-a", "E2E_B": f"{VALUE}-b", "CALLSTITCH_BROKER_PASSWORD": f"{VALUE}-broker"}

    ended = callstitch(tmp_path, "config", "show", "--config", "config.toml", **secrets)

    assert (ended.code, VALUE in ended.output) == (0, False), ended.output
    shown = json.loads(ended.output)
    assert shown["broker"] == "amqp://guest:***@127.0.0.1/"
    assert (shown["source"][0]["tokens"], shown["source"][0]["app_secret"]) == (["***", "***"], "***")
    assert (shown["source"][0]["app_key"], shown["sink"][0]["secret"]) == ("KEY", "***")


@pytest.mark.rabbitmq
def test_check_is_78_until_the_topology_is_declared_and_then_0(tmp_path: Path, fresh_amqp_url: str) -> None:
    (tmp_path / "config.toml").write_text('[[queue]]\nname = "billing"\n')

    def run(*command: str) -> Ended:
        return callstitch(tmp_path, *command, "--config", "config.toml", CALLSTITCH_BROKER=fresh_amqp_url)

    before, a_role, declared, after = run("check"), run("work", "park"), run("declare"), run("check")

    assert (before.code, a_role.code, declared.code, after.code) == (78, 78, 0, 0), before.output + after.output
    assert "billing" in before.output
    assert "callstitch declare" in before.output
    assert ":guest@" not in before.output + declared.output + after.output, "the broker's password"


def test_rabbitmq_away_at_start_is_69(up_without_rabbitmq: Program) -> None:
    code = up_without_rabbitmq.wait(AWAY_SECONDS)

    output = up_without_rabbitmq.log_file.read_text()
    assert code == 69, output
    assert "was not reached" in output
    assert VALUE not in output
    assert "Traceback" not in output


def test_a_command_that_waits_for_its_broker_says_so_in_one_plain_line(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(f'broker = "amqp://guest:{VALUE}@127.0.0.1:{ports.free_port()}/"')
    program = Program(arguments=("check", "--config", "config.toml"), directory=tmp_path, environ={}, name="check")
    try:
        program.start()
        wait_for(lambda: "waiting" in program.log_file.read_text(), COMMAND_SECONDS, why=program.tail)
        time.sleep(3.0)  # several tries of both connections
        told = program.log_file.read_text()
        (line,) = [line for line in told.splitlines() if "waiting" in line]
    finally:
        end(program)
    assert line.startswith("callstitch: waiting for the broker: Connect call failed")
    assert "{" not in told, "no JSON for who sits at a terminal"
    assert VALUE not in told
