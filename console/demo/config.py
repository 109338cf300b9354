"""The demo's config: one source a platform, with rules and defaults where questions are asked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from console.config_file import checked

APP_KEY: Final = "EMULATORKEY"
# What a source needs whose platform signs, and has an API for recordings. `{...}` is filled in from the places.
SIGNED: Final = {"app_key": APP_KEY, "app_secret": "{secret}", "recording_api": "http://{recordings}"}
# By source: its platform, and what else its table says.
SOURCES: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "huawei": ("huawei_privatenumber", {**SIGNED, "verify": "always", "control": True}),
    "voicecall": ("huawei_voicecall", {**SIGNED, "verify": "always", "push_url": "{door}"}),
    "aliyun": ("aliyun_pnp", {**SIGNED, "control": True}),
    "jiuyun": ("jiuyun_axb", {}),
}
DEFAULT: Final = '{ action = "connect", callee = "+8613900000099" }'
PRIVATE_NUMBERS: Final = {"huawei": "+8617010000{:03d}", "aliyun": "+861700000{:04d}"}
CONNECTED: Final = range(10)  # of the twenty private numbers; the rest has the default
CLOSED: Final = range(10, 14)


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where everything of a demo is: `door`, `admin` and `recordings` as host:port, a token for each source."""

    directory: Path
    door: str
    admin: str
    recordings: str
    tokens: Mapping[str, str] = field(repr=False)
    secret: str = field(repr=False)

    @property
    def truth(self) -> Path:
        """What the platforms know that they sent."""
        return self.directory / "sent.jsonl"

    @property
    def events(self) -> Path:
        """The events as the jsonl sink wrote them."""
        return self.directory / "calls.jsonl"

    @property
    def ledger(self) -> Path:
        """The demo's own ledger."""
        return self.directory / "ledger.json"

    @property
    def log(self) -> Path:
        """The pipeline's log."""
        return self.directory / "up.log"

    def address(self, source: str) -> str:
        """The base URL of a source at the door, token included."""
        return f"http://{self.door}/v1/{source}/{self.tokens[source]}"

    def filled(self, source: str, value: Any) -> Any:
        """The value of a key, with the places it names."""
        if not isinstance(value, str):
            return value
        return value.format(door=self.address(source), recordings=self.recordings, secret=self.secret)


def config_text(theirs: Mapping[str, Any], places: Places) -> str:
    """A whole TOML file. Of `theirs`, another config, the broker, the store and the queues are taken over.

    Raises:
        Misconfigured: their broker or store is none.
    """
    given = checked({key: theirs[key] for key in ("broker", "store") if key in theirs}, named="the config for the demo")
    broker = given.broker.text if "broker" in theirs else f"embedded:{places.directory}/broker.db"
    # A directory of theirs is not the demo's to use.
    store = given.store.text if given.store.shared else f"sqlite:{places.directory}/state"
    return f"""\
broker = {json.dumps(broker)}
store = {json.dumps(store)}
objects = "file:{places.directory}/recordings"

[ingest]
listen = "{places.door}"
admin = "{places.admin}"

{"".join(_source(name, places) for name in SOURCES)}
[[sink]]
name = "file"
kind = "jsonl"
path = "{places.events}"

{_queues(theirs)}
{"".join(_rules())}"""


def _source(name: str, places: Places) -> str:
    platform, more = SOURCES[name]
    row: dict[str, Any] = {
        "name": name,
        "platform": platform,
        "tokens": [places.tokens[name]],
        "cdr_wait": "3s",
        "recording_hosts": ["127.0.0.1"],
        "allow_private": True,
        **{key: places.filled(name, value) for key, value in more.items()},
    }
    default = f"default = {DEFAULT}\n" if more.get("control") else ""
    return f"[[source]]\n{_table(row)}{default}\n"


def _queues(theirs: Mapping[str, Any]) -> str:
    wanted = [{name: value for name, value in queue.items() if name != "sources"} for queue in theirs.get("queue", ())]
    return "\n".join(f"[[queue]]\n{_table(queue)}" for queue in wanted)


def _rules() -> Iterator[str]:
    for source, pattern in PRIVATE_NUMBERS.items():
        for n in CONNECTED:
            rule = {"source": source, "number": pattern.format(n), "action": "connect", "record": True}
            yield f"[[rule]]\n{_table(rule | {'callee': f'+8613900000{n:03d}', 'max_minutes': 60})}\n"
            route = {"source": source, "number": pattern.format(n), "action": "route"}
            yield f"[[rule]]\n{_table(route | {'callee': f'+8613900000{n:03d}'})}\n"
        for n in CLOSED:
            yield f"[[rule]]\n{_table({'source': source, 'number': pattern.format(n), 'action': 'close'})}\n"


def _table(row: Mapping[str, Any]) -> str:
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in row.items())
