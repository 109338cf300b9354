"""`callstitch check` as an admission test: what could not run is a fault, every one is told, and nothing is changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from console.main import app
from tests.services.endpoint import an_endpoint

TOKEN = "t" * 22
SOURCE: dict[str, Any] = {"name": "pn", "platform": "huawei_privatenumber", "tokens": [TOKEN]}
HOOK: dict[str, Any] = {"name": "hook", "kind": "webhook", "url": "https://127.0.0.1/x", "secret": "whsec_c2VjcmV0"}

GONE: tuple[str, dict[str, Any]] = ("sink", {"name": "gone", "kind": "jsonl", "path": "/dev/null/calls.jsonl"})


def table(name: str, row: dict[str, Any]) -> str:
    return f"[[{name}]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in row.items())


def a_config(directory: Path, *rows: tuple[str, dict[str, Any]], **top: str) -> Path:
    path = directory / "config.toml"
    here = {
        "broker": f"embedded:{directory}/b.db",
        "store": f"sqlite:{directory}/state",
        "objects": f"file:{directory}/o",
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in (here | top).items()]
    path.write_text("\n".join([*lines, *(table(*row) for row in rows)]))
    return path


def run(*arguments: str, config: Path) -> Result:
    return CliRunner().invoke(app, [*arguments, "--config", str(config)])


def test_a_config_that_can_run_passes_and_nothing_is_made_by_looking(tmp_path: Path) -> None:
    config = a_config(
        tmp_path, ("source", SOURCE), ("sink", {"name": "file", "kind": "jsonl", "path": f"{tmp_path}/f/c"})
    )
    assert run("declare", config=config).exit_code == 0
    before = there(tmp_path)
    checked = run("check", config=config)
    assert (checked.exit_code, "look:" in checked.output) == (0, False), checked.output
    assert there(tmp_path) == before


def there(directory: Path) -> set[Path]:
    """But for what SQLite keeps beside a file that somebody reads."""
    return {path for path in directory.rglob("*") if not path.name.endswith(("-wal", "-shm"))}


@pytest.mark.parametrize(
    ("sink", "said", "code"),
    [
        (HOOK | {"url": "http://example.org/x"}, "sink hook: url: only https", 78),
        (HOOK | {"secret": "no base64!"}, "sink hook: secret: must be whsec_", 78),
        (HOOK, "sink hook: url: 127.0.0.1 is at an address that may not be called", 78),
        (HOOK | {"url": "https://no-such-host.invalid/x"}, "nobody knows no-such-host.invalid", 69),
        (HOOK | {"url": "http://127.0.0.1:1/x", "allow_private": True}, "127.0.0.1:1 takes no connection", 69),
        ({"name": "file", "kind": "jsonl", "path": "/dev/null/calls.jsonl"}, "cannot write to /dev/null", 78),
        ({"name": "file", "kind": "jsonl", "path": "/"}, "sink file: cannot write to /", 78),
    ],
)
def test_a_sink_that_could_not_start_is_a_fault(tmp_path: Path, sink: dict[str, Any], said: str, code: int) -> None:
    config = a_config(tmp_path, ("source", SOURCE), ("sink", sink))
    assert run("declare", config=config).exit_code == 0
    checked = run("check", config=config)
    assert (checked.exit_code, said in checked.output) == (code, True), checked.output


def test_a_webhook_is_connected_to_and_nothing_is_posted(tmp_path: Path) -> None:
    with an_endpoint() as endpoint:
        hook = HOOK | {"url": endpoint.url, "allow_private": True}
        config = a_config(tmp_path, ("source", SOURCE), ("sink", hook))
        assert run("declare", config=config).exit_code == 0
        checked = run("check", config=config)
        secure = a_config(
            tmp_path, ("source", SOURCE), ("sink", hook | {"url": endpoint.url.replace("http:", "https:")})
        )
        refused = run("check", config=secure)
    assert (checked.exit_code, "sink hook: webhook" in checked.output) == (0, True), checked.output
    assert (refused.exit_code, "takes no connection" in refused.output) == (69, True), refused.output
    assert endpoint.posts == []


def test_every_fault_is_told_at_once_and_the_worse_one_is_the_exit_code(tmp_path: Path) -> None:
    config = a_config(
        tmp_path,
        ("sink", HOOK | {"url": "https://no-such-host.invalid/x"}),
        store="sqlite:/dev/null/state",
        objects="file:/dev/null/objects",
    )
    checked = run("check", config=config)
    assert checked.exit_code == 78
    for said in (
        "cannot write to /dev/null/state",
        "cannot write to /dev/null/objects",
        "nobody knows",
        "not declared",
    ):
        assert said in checked.output, checked.output


def test_what_is_allowed_and_seldom_meant_is_pointed_at(tmp_path: Path) -> None:
    signed = SOURCE | {"tokens": ["eight-ch"], "app_key": "k", "app_secret": "s"}
    assert run("declare", config=a_config(tmp_path, ("source", signed), GONE)).exit_code == 0
    checked = run("check", config=a_config(tmp_path, ("source", signed)))
    text = " ".join(checked.output.split())
    assert checked.exit_code == 0, checked.output
    for said in (
        "source pn: tokens.0 is short",
        'source pn: verify = "when_present" lets a push',
        "left over: callstitch.sink.gone.v1 is not in",
    ):
        assert f"look: {said}" in text, text
    assert "no [[source]]" in run("check", config=a_config(tmp_path)).output


def test_what_is_left_over_is_deleted_on_request(tmp_path: Path) -> None:
    run("declare", config=a_config(tmp_path, ("source", SOURCE), GONE))
    without = a_config(tmp_path, ("source", SOURCE))
    assert "left over: callstitch.sink.gone.v1" in run("declare", config=without).output
    assert "deleted callstitch.sink.gone.v1" in run("declare", "--prune", config=without).output
    assert "sink.gone" not in run("declare", config=without).output
    assert run("declare", "--force", config=without).exit_code == 2


@pytest.mark.parametrize("role", [["ingest"], ["work", "dedupe"]])
def test_a_role_of_a_container_without_a_config_is_refused_and_makes_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CALLSTITCH_CONFIG", raising=False)
    ended = CliRunner().invoke(app, role)
    assert (ended.exit_code, "no config" in ended.output) == (78, True), ended.output
    assert list(tmp_path.iterdir()) == []


def test_a_token_that_anybody_can_guess_keeps_a_door_from_opening_and_is_not_shown(tmp_path: Path) -> None:
    config = a_config(tmp_path, ("source", SOURCE | {"tokens": [TOKEN, "xyzzy"]}))
    for command in ("ingest", "check"):
        ended = run(command, config=config)
        assert (ended.exit_code, "source.0.tokens.1: fewer than 8" in ended.output) == (78, True), ended.output
        assert "xyzzy" not in ended.output


def test_a_stage_without_sinks_takes_no_sink_and_what_is_not_declared_says_what_to_do_first(tmp_path: Path) -> None:
    config = a_config(tmp_path, ("source", SOURCE))
    assert run("work", "dedupe", "--sink", "x", config=config).exit_code == 2
    assert "callstitch: run `callstitch declare` first: not declared: " in run("check", config=config).output


def planned(config: Path) -> str:
    """The plan, as one line."""
    told = " ".join(run("check", config=config).output.split())
    return told[told.index("plan:") :] if "plan:" in told else ""


def test_the_plan_of_declare_is_told_before_and_nothing_is_planned_after_it(tmp_path: Path) -> None:
    sink = GONE[1] | {"events": ["call.completed"], "sources": ["pn"], "batch": False}
    config = a_config(tmp_path, ("source", SOURCE), ("sink", sink))
    told = planned(config)
    assert "declare would create 22 queue(s): callstitch.received.v1, " in told
    assert "declare would bind callstitch.sink.gone.v1 to calls (call.completed.pn)" in told
    assert run("declare", config=config).exit_code == 0
    assert planned(config) == ""

    a_config(tmp_path, ("source", SOURCE), ("sink", sink | {"events": ["call.amended"]}))
    assert "plan: declare would bind callstitch.sink.gone.v1 to calls (call.amended.pn)" in planned(config)
    assert "plan: declare would unbind callstitch.sink.gone.v1 from calls (call.completed.pn)" in planned(config)
    a_config(tmp_path, ("source", SOURCE))
    assert "unbind callstitch.sink.gone.v1" in planned(config)
    assert "left over: callstitch.sink.gone.v1" in " ".join(run("check", config=config).output.split())
