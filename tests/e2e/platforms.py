"""One `callstitch up` with a source for every product and mode, and every published push of each, posted over HTTP.

The samples of the modes share session ids and SMS identifiers, so no two of them may be one source's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.e2e.programs import ROOT, Answer, request
from tests.e2e.running import SECRET_VARIABLE, TOKEN_VARIABLE, Up, running_up

SAMPLES: Final = ROOT / "console/samples"
# docs/protocols/aliyun-pnp.md section 2, worked example: the key that the published question is signed with.
ALIYUN_KEY: Final = "demo-secret-not-real"
NO_NOTIFICATION: Final = ("-response", "_response_", "ack.", "-bind-request")  # answers, and our own requests

_TOP: Final = """
broker = "embedded:broker.db"
store = "sqlite:state"
objects = "file:recordings"

[[sink]]
name = "file"
kind = "jsonl"
path = "calls.jsonl"
"""
# The tones of the published answer, by Huawei's own names.
_RULES: Final = """
[[rule]]
source = "huawei-x"
number = "+8613800000022"
action = "connect"
callee = "+8613866887021"
record = true
max_minutes = 60
user_data = "userflag001"
tones = { waitVoice = "waitVoice001.wav", recordHintTone = "recordHintTone001.wav", lastMinVoice = "lastMinVoice001.wav" }

[[rule]]
source = "huawei-ax"
action = "route"
callee = "+8613866887021"

[[rule]]
source = "aliyun-x"
number = "+8617000000002"
action = "connect"
callee = "+8613900000003"
user_data = "20240305001"
tones = { callNoPlayCode = "185" }
"""  # noqa: E501 - an inline table of TOML has one line

JSON: Final = "application/json;charset=UTF-8"
XML: Final = "application/xml;charset=utf-8"
FORM: Final = "application/x-www-form-urlencoded"
Body = str | bytes | Mapping[str, Any] | Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Push:
    """One notification: a sample by its file name, an object written from a page's words, or its very bytes.

    `path` is what follows the token, `answer` what the platform is to hear (None: what it hears of every push).
    """

    body: Body
    path: str = ""
    answer: Body | None = None


@dataclass(frozen=True, kw_only=True)
class Account:
    """A source, its settings beyond platform and token, and what its platform pushes, in that order."""

    name: str
    platform: str
    pushes: Sequence[Push]
    settings: Mapping[str, Any] = field(default_factory=dict)

    def toml(self) -> str:
        """Its table. No recording can be fetched: none has credentials, and its hosts exist nowhere."""
        row = {
            "name": self.name,
            "platform": self.platform,
            "tokens": [f"env:{TOKEN_VARIABLE}"],
            "recording_hosts": ["recordings.invalid"],
            **self.settings,
        }
        return "\n[[source]]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in row.items())


def samples(*names: str, path: str = "") -> list[Push]:
    """Published files, all to one URL."""
    return [Push(body=name, path=path) for name in names]


@contextmanager
def running_platforms(directory: Path, accounts: Sequence[Account]) -> Iterator[Up]:
    """`callstitch up` on the embedded default, with a source for each account."""
    config = _TOP + "".join(account.toml() for account in accounts) + _RULES
    with running_up(directory, config, environ={SECRET_VARIABLE: ALIYUN_KEY}) as up:
        yield up


def post(up: Up, account: Account, push: Push) -> Answer:
    """Push it as the platform does; the whole answer."""
    content, kind = content_of(account.platform, push.body)
    return request(up.listen, "POST", f"/v1/{account.name}/{up.token}{push.path}", content, {"Content-Type": kind})


def content_of(platform: str, body: Body) -> tuple[bytes, str]:
    """The bytes of a push and the content type that its platform gives it."""
    if isinstance(body, bytes):
        return body, XML if platform == "jiuyun_axb" else FORM
    if not isinstance(body, str):
        return json.dumps(body).encode(), JSON
    file = SAMPLES / platform / body
    return file.read_bytes(), {".xml": XML, ".form": FORM}.get(file.suffix, JSON)


def published() -> set[tuple[str, str]]:
    """Platform and file name of every sample that a platform would push."""
    files = (file for file in SAMPLES.glob("*/*") if not any(part in file.name for part in NO_NOTIFICATION))
    return {(file.parent.name, file.name) for file in files if file.name != "api-error-response.json"}


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    return json.dumps(value)
