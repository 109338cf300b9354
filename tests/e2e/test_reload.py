"""A config that changes under running processes: taken without losing work, refused whole, and told either way."""

from __future__ import annotations

import base64
import json
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from tests.e2e.balance import wait_until_balanced
from tests.e2e.programs import ROOT, STOP_SECONDS, end, request
from tests.e2e.roles import running_roles
from tests.e2e.running import Up, playing, prepared_up, running_up
from tests.e2e.test_questions import DEFAULT, RULES, B, a_callin, asked_until_heard
from tests.services import debian
from tests.services.endpoint import Endpoint, an_endpoint

CALLS: Final = 30
RATE: Final = 60.0
BALANCED_SECONDS: Final = 120.0
FIRST, SECOND = ("whsec_" + base64.b64encode(text).decode() for text in (b"the first secret", b"the second secret"))
OTHER_TOKEN: Final = "another-token-of-this-test"
CALLIN: Final = "axyb-event-callin.json"


def edited(up: Up, old: str, new: str) -> None:
    """Write the config over, as an editor does."""
    text = up.config.read_text()
    assert text.count(old) == 1, text
    up.config.write_text(text.replace(old, new))


def lines(up: Up, event: str) -> list[dict[str, Any]]:
    """What the log says under that name."""
    rows = (line for line in up.log_file.read_text().splitlines() if f'"{event}"' in line)
    return [orjson.loads(row) for row in rows]


def reloaded(up: Up, *, sign: bool = True, event: str = "config.taken", times: int | None = None) -> dict[str, Any]:
    """The next line that tells what became of the config."""
    before = len(lines(up, event)) if times is None else times
    if sign:
        up.process.send_signal(signal.SIGHUP)
    up.wait_for(lambda: len(lines(up, event)) > before)
    return lines(up, event)[-1]


def readyz(up: Up) -> dict[str, Any]:
    told: dict[str, Any] = orjson.loads(request(up.admin, "GET", "/readyz").body)
    return told


@contextmanager
def pushing(up: Up, token: str) -> Iterator[list[int]]:
    """Push one after the other with that token until the context ends; what was answered."""
    over, answered = threading.Event(), list[int]()

    def push() -> None:
        path = f"/v1/huawei/{token}/status"
        while not over.is_set():
            answered.append(request(up.listen, "POST", path, b'{"eventType":"callin"}').status)

    thread = threading.Thread(target=push)
    thread.start()
    try:
        yield answered
    finally:
        over.set()
        thread.join()


def test_a_token_is_added_and_an_old_one_removed_under_load(tmp_path: Path) -> None:
    tokens = 'tokens = ["env:E2E_TOKEN"]'
    with running_up(tmp_path) as up:
        with playing(up, calls=CALLS, rate=RATE) as emulator:
            emulator.wait_until_answered(20)
            assert request(up.listen, "POST", f"/v1/huawei/{OTHER_TOKEN}", b"{}").status == 404
            edited(up, tokens, f'tokens = ["env:E2E_TOKEN", "{OTHER_TOKEN}"]')
            assert reloaded(up)["keys"] == ["source.huawei.tokens"]
            with pushing(up, OTHER_TOKEN) as answered:
                truth = emulator.finish()
                edited(up, f'tokens = ["env:E2E_TOKEN", "{OTHER_TOKEN}"]', f'tokens = ["{OTHER_TOKEN}"]')
                reloaded(up)
                assert up.post(CALLIN) == 404
                before = len(answered)
                up.wait_for(lambda: len(answered) > before + 5)
        assert set(answered) == {200}
        assert truth.end is not None
        assert OTHER_TOKEN not in up.log_file.read_text()
        assert up.terminate() == 0


def test_a_webhooks_secret_is_rotated_without_a_refused_post(tmp_path: Path) -> None:
    with an_endpoint() as customer:
        (tmp_path / "secret").write_text(FIRST)
        with running_up(tmp_path, extra=webhook(customer, 'secret = "file:secret"')) as up:
            one = signed_with(up, customer, "one")
            (tmp_path / "second").write_text(SECOND)
            edited(up, 'secret = "file:secret"', 'secrets = ["file:secret", "file:second"]')
            assert reloaded(up)["keys"] == ["sink.crm.secret", "sink.crm.secrets"]
            both = signed_with(up, customer, "two")
            taken = len(lines(up, "config.taken"))
            (tmp_path / "next").write_text(SECOND)
            (tmp_path / "next").rename(tmp_path / "secret")  # the config is the same, what it reads is not: it is seen
            reloaded(up, sign=False, times=taken)
            last = signed_with(up, customer, "three")
            assert up.terminate() == 0
    assert (one, both, last) == ((True, False), (True, True), (False, True))


def webhook(customer: Endpoint, secret: str) -> str:
    return (
        f'[[sink]]\nname = "crm"\nkind = "webhook"\nurl = "{customer.url}"\nallow_private = true\n{secret}\n'
        'events = ["call.progress"]\n'
    )


def signed_with(up: Up, customer: Endpoint, session: str) -> tuple[bool, bool]:
    """Whether the post of a call's first event is signed with the first secret, and with the second."""
    before = len(customer.posts)
    assert up.post(a_callin(session)) == 200
    up.wait_for(lambda: len(customer.posts) > before)
    post = customer.posts[before]
    return post.is_signed_with(FIRST), post.is_signed_with(SECOND)


def test_rules_come_change_and_go_and_what_they_say_is_heard(tmp_path: Path) -> None:
    rule = RULES.strip().split("\n\n")[0]
    with running_up(tmp_path, extra=DEFAULT, control=True, mode="X") as up:
        assert json.loads(up.answer(a_callin("none")).body)["operation"] == "close"
        up.config.write_text(up.config.read_text() + f"\n{rule}\n")
        assert reloaded(up)["keys"] == ["rule"]
        assert readyz(up)["decide"] is True
        asked_until_heard(up, a_callin("one"), {"operation": "connect"})
        edited(up, B, "+8613866887022")
        reloaded(up)
        heard = asked_until_heard(up, a_callin("two"), {"operation": "connect"})
        assert "13866887022" in heard.body.decode()
        up.config.write_text(up.config.read_text().replace(rule.replace(B, "+8613866887022"), ""))
        reloaded(up)
        assert "decide" not in readyz(up), "another service may answer"
        assert "1386688702" not in up.log_file.read_text()
        assert up.terminate() == 0


def test_a_bad_config_changes_nothing_and_is_told_until_it_is_mended(tmp_path: Path) -> None:
    with running_up(tmp_path) as up, playing(up, calls=CALLS, rate=RATE) as emulator:
        good = up.config.read_text()
        up.config.write_text(good.replace("[ingest]", '[ingest]\nlisten_at = "here"'))
        assert "ingest.listen_at: unknown key" in reloaded(up, event="config.not_taken")["reason"]
        assert "listen_at" in readyz(up)["stale"]
        assert "callstitch_config_stale 1.0" in request(up.admin, "GET", "/metrics").body.decode()
        assert up.is_ready()
        up.config.write_text(good.replace("[ingest]", '[ingest]\nlisten = "127.0.0.1:1"\nconnections = 77') + TWO_FILES)
        taken = len(lines(up, "config.taken"))
        assert reloaded(up, sign=False, times=taken)["keys"] == ["sink.second"], "it saw that by itself"
        assert lines(up, "config.needs_restart")[-1]["keys"] == ["ingest.connections"], "listen is overridden here"
        assert "stale" not in readyz(up)
        assert readyz(up)["fan_out.second"] is True
        wait_until_balanced(up, emulator.finish(), BALANCED_SECONDS)
        assert (tmp_path / "second.jsonl").read_bytes(), "a new sink is served at once"
        up.config.write_text(good)
        reloaded(up)
        assert "fan_out.second" not in readyz(up)
        assert up.terminate() == 0


TWO_FILES: Final = """
[[sink]]
name = "second"
kind = "jsonl"
path = "second.jsonl"
"""


def test_a_mounted_config_map_is_taken_when_its_link_moves(tmp_path: Path) -> None:
    """Kubernetes keeps `config.toml -> ..data/config.toml` and moves `..data` to a new directory."""
    with running_up(tmp_path) as up:
        text = up.config.read_text()
        for version in ("1", "2"):
            (tmp_path / version).mkdir()
        (tmp_path / "1" / "config.toml").write_text(text)
        (tmp_path / "..data").symlink_to("1")
        up.config.unlink()
        up.config.symlink_to("..data/config.toml")
        (tmp_path / "2" / "config.toml").write_text(text.replace('tokens = ["', f'tokens = ["{OTHER_TOKEN}", "'))
        (tmp_path / "..tmp").symlink_to("2")
        (tmp_path / "..tmp").rename(tmp_path / "..data")
        assert reloaded(up, sign=False, times=0)["keys"] == ["source.huawei.tokens"]
        assert request(up.listen, "POST", f"/v1/huawei/{OTHER_TOKEN}/status", b"{}").status == 200


@pytest.mark.rabbitmq
def test_a_supervisor_passes_it_on_and_a_role_names_what_declare_has_to_do(tmp_path: Path, fresh_amqp_url: str) -> None:
    doors = ("ingest", "--processes", "2")
    with running_roles(tmp_path, fresh_amqp_url, workers={}, ingest=doors) as (group, _):
        edited(group, 'tokens = ["env:E2E_TOKEN"]', f'tokens = ["env:E2E_TOKEN", "{OTHER_TOKEN}"]')
        group.config.write_text(group.config.read_text() + '[[queue]]\nname = "team"\n')
        group.process.send_signal(signal.SIGHUP)
        group.wait_for(lambda: {row["process"] for row in lines(group, "config.taken")} == {"1", "2"})
        assert lines(group, "config.needs_declare")
        path = f"/v1/huawei/{OTHER_TOKEN}/status"
        assert {request(group.listen, "POST", path, b"{}").status for _ in range(20)} == {200}
        assert group.process.poll() is None
        group.config.write_text("broken")
        group.process.send_signal(signal.SIGHUP)
        group.wait_for(lambda: "2: config.toml is not TOML" in readyz(group).get("stale", ""))
        assert group.is_ready()
        assert group.terminate() == 0


def test_a_process_whose_terminal_is_gone_drains(tmp_path: Path) -> None:
    up = prepared_up(tmp_path)
    terminal, theirs = pty.openpty()
    with up.log_file.open("ab") as log:
        up.process = subprocess.Popen(
            ["setsid", "--ctty", *debian.dies_with_us(), sys.executable, "-m", "console", *up.arguments],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT), **up.environ},
            stdin=theirs, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    os.close(theirs)
    try:
        up.wait_until_ready()
        reloaded(up)  # the terminal is there: it only reads its config again
        os.close(terminal)
        assert up.wait(STOP_SECONDS) == 0, up.tail()
        assert lines(up, "process.terminal_gone")
    finally:
        end(up)
