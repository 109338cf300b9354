"""`callstitch sample` prints and posts, and says in one line what went wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from typer.testing import CliRunner, Result

import console.main  # noqa: F401 - puts the command together
from console.app import app
from console.stories import STORIES
from tests.services import ports

TOKEN = "a-token-nobody-may-see"
PATH = f"/v1/huawei-bj/{TOKEN}"


@dataclass
class Door:
    """What was posted to a door that answers as told, the last answer for ever."""

    answers: list[int]
    posted: list[tuple[str, str, bytes]] = field(default_factory=list)
    url: str = ""


@contextmanager
def a_door(*answers: int) -> Iterator[Door]:
    door = Door(answers=list(answers))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            door.posted.append((self.path, self.headers["Content-Type"], body))
            self.send_response(door.answers.pop(0) if len(door.answers) > 1 else door.answers[0])
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    door.url = f"http://127.0.0.1:{server.server_port}{PATH}"
    serving = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    try:
        yield door
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


def sample(*arguments: str) -> Result:
    result = CliRunner().invoke(app, ["sample", *arguments], env={"COLUMNS": "300"})
    assert TOKEN not in result.output
    return result


@pytest.fixture(autouse=True)
def empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("CALLSTITCH_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_a_name_it_lists_them_all_in_words() -> None:
    result = sample()

    assert result.exit_code == 0
    assert [name for name, story in STORIES.items() if f"  {name:16}{story.words}\n" not in result.stdout] == []
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_the_list_says_which_of_them_are_one_call_at_one_source() -> None:
    alike = sample().stdout.partition("they are one call:\n")[2]

    assert alike == "  axyb, axb, ax, x\n  notify, verify\n  jiuyun-1, jiuyun-2, jiuyun-voice, jiuyun-code\n"


@pytest.mark.parametrize("name", STORIES)
def test_it_prints_the_bodies_alone_to_stdout(name: str) -> None:
    result = sample(name)

    assert result.exit_code == 0
    assert result.stdout_bytes == b"".join(push.body.rstrip(b"\n") + b"\n" for push in STORIES[name].pushes)
    assert [line.split()[-1] for line in result.stderr.splitlines()] == [push.file for push in STORIES[name].pushes]


@pytest.mark.parametrize("name", STORIES)
def test_it_posts_a_story_in_order_to_the_paths_of_its_platform(name: str) -> None:
    with a_door(200) as door:
        result = sample(name, "--post", door.url + "/")

    assert result.exit_code == 0, result.output
    assert door.posted == [(PATH + push.path, push.content_type, push.body) for push in STORIES[name].pushes]
    assert [call for call in STORIES[name].calls if f"callstitch trace {call}\n" not in result.stdout] == []


def test_a_name_that_nobody_knows_is_answered_with_those_that_there_are() -> None:
    result = sample("axyc")

    assert result.exit_code == 2
    assert ", ".join(STORIES) in result.stderr


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "signed pushes"), (404, "no source there"), (503, "try again"), (302, "not a door?"), (500, "not a door?")],
)
def test_the_first_refusal_ends_it_in_one_line(status: int, words: str) -> None:
    with a_door(200, status, 200) as door:
        result = sample("axyb", "--post", door.url)

    assert result.exit_code == 1
    assert len(door.posted) == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"callstitch: the door answered {status}: ")
    assert words in line


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
def test_nobody_there_is_said_in_one_line(host: str) -> None:
    result = sample("axyb", "--post", f"http://{host}:{ports.free_port()}{PATH}")

    assert result.exit_code == 69
    assert result.stderr == "callstitch: nobody answers at that URL: does a door run there?\n"


@pytest.mark.parametrize(
    "url", [f"127.0.0.1:8080{PATH}", f"ftp://host{PATH}", f"http://host/{TOKEN}", f"http://[{PATH}"]
)
def test_what_is_no_url_of_a_source_is_a_usage_error(url: str) -> None:
    result = sample("axyb", "--post", url)

    assert result.exit_code == 2
    assert "http://HOST:PORT/v1/SOURCE/TOKEN" in result.stderr


def test_without_a_name_there_is_nothing_to_post() -> None:
    assert sample("--post", "up").exit_code == 2


def test_up_is_only_what_has_run_here_and_no_tokens_are_made_for_it(empty_directory: Path) -> None:
    result = sample("axyb", "--post", "up")

    assert result.exit_code == 2
    assert "give the URL of a source" in result.stderr
    assert list(empty_directory.iterdir()) == []


def test_up_is_never_a_config_of_ones_own(empty_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (empty_directory / "var").mkdir()
    (empty_directory / "var/tokens.json").write_text("{}")
    monkeypatch.setenv("CALLSTITCH_CONFIG", "production.toml")

    result = sample("axyb", "--post", "up")

    assert result.exit_code == 2
    assert "give the URL of a source" in result.stderr
