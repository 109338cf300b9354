"""The config as models: one TOML file, scalars overridden by CALLSTITCH_... variables (docs/contract.md section 5)."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    model_validator,
)

from schemas.question import GOING, Decision, goes_somewhere
from schemas.topology import DEFAULT_EVENTS, EVENT_TYPES, RETRY_DELAYS

_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~-]+")
_ASKING: Final = frozenset({"huawei_privatenumber", "aliyun_pnp"})  # the platforms whose pushes may be questions
_HOST: Final = re.compile(r"(\*?\.)?[^\s/:@\[\]]+(:\d+)?|\[[0-9A-Fa-f:.]+\](:\d+)?")
_MOST_PORT: Final = 65535
_UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


def _duration(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    match = _DURATION.fullmatch(value.strip())
    if match is None:
        raise ValueError("a duration looks like 500ms, 2s, 15m, 24h or 7d")
    return timedelta(seconds=float(match[1]) * _UNITS[match[2]])


def _secret(value: Any) -> Any:
    """`env:NAME` and `file:PATH` are read here, so that a secret need never stand in the file."""
    if not isinstance(value, str):
        return value
    if value.startswith("env:"):
        if not os.environ.get(value[4:]):
            raise ValueError(f"the environment variable {value[4:]} is not set, or empty")
        return os.environ[value[4:]]
    if value.startswith("file:"):
        try:
            return Path(value[5:]).read_text().strip()
        except OSError as error:
            raise ValueError(f"cannot read {value[5:]}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ValueError(f"cannot read {value[5:]}: it is not UTF-8 text") from None
    return value


def _address(value: str) -> str:
    host, colon, port = value.rpartition(":")
    if not colon or "/" in host or not port.isdecimal() or int(port) > _MOST_PORT:
        raise ValueError("an address is host:port, for example 127.0.0.1:8080")
    return value


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:  # its text repeats what stands in the file
        right = False
    if not right:
        raise ValueError("a URL begins with https:// (or http://) and a host")
    return value


def _secret_url(value: SecretStr) -> SecretStr:
    _url(value.get_secret_value())
    return value


def _host(value: str) -> str:
    if not _HOST.fullmatch(value):
        raise ValueError(
            "a host has neither scheme nor path: audio.example.com, .example.com, each with or without :port"
        )
    return value


def _token(value: SecretStr) -> SecretStr:
    """A token is one segment of the URL's path."""
    if not _TOKEN.fullmatch(value.get_secret_value()):
        raise ValueError("a token has only letters, figures and - . _ ~")
    return value


def _foreign(name: str) -> str:
    if name.startswith(("callstitch.", "amq.")):
        raise ValueError("names that begin with callstitch. or amq. are taken")
    return name


def _event_type(value: str) -> str:
    if value not in EVENT_TYPES:
        raise ValueError(f"no such event type; known: {', '.join(EVENT_TYPES)}")
    return value


def _tier(value: Any) -> str:
    """The delay queue of that length, however it is written: `60m` is `1h`."""
    length = _duration(value)
    for name, seconds in RETRY_DELAYS.items():
        if length == timedelta(seconds=seconds):
            return name
    raise ValueError(f"a retry waits in one of the delay queues: {', '.join(RETRY_DELAYS)}")


Duration = Annotated[timedelta, BeforeValidator(_duration), Field(gt=timedelta(0))]
Secret = Annotated[SecretStr, BeforeValidator(_secret), Field(min_length=1)]
Given = Annotated[str, BeforeValidator(_secret)]  # no secret, and yet it may come as one does
Address = Annotated[str, AfterValidator(_address)]
Url = Annotated[str, AfterValidator(_url)]
SecretUrl = Annotated[Secret, AfterValidator(_secret_url)]
Host = Annotated[str, AfterValidator(_host)]
Token = Annotated[Secret, AfterValidator(_token)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")]
Tier = Annotated[str, BeforeValidator(_tier)]
RetryingStage = Literal["dedupe", "correlate", "fetch_recording", "fan_out", "park"]
EventTypes = Annotated[tuple[Annotated[str, AfterValidator(_event_type)], ...], Field(min_length=1)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Ingest(_Model):
    """The door; `admin` serves health and metrics and stays on loopback unless told otherwise."""

    listen: Address = "127.0.0.1:8080"
    admin: Address = "127.0.0.1:8081"


class Source(_Model):
    """One configured account at a platform.

    `control`: it asks questions, which `default` answers when nobody does in time. `push_url` is the URL as the
    platform's console knows it, which some platforms sign; it holds the token, so it is a secret. `control_secret`
    signs the questions of Aliyun's X mode where that is not `app_secret`. `answer_shape`: Huawei's connectInfo and
    closeInfo as the table or as the demo has them. `key_variant`, `model_shape`, `clock_skew`: Aliyun's X mode.
    """

    name: Name
    platform: Literal["huawei_privatenumber", "huawei_voicecall", "aliyun_pnp", "jiuyun_axb"]
    tokens: Annotated[tuple[Token, ...], Field(min_length=1)]
    app_key: Given | None = None
    app_secret: Secret | None = None
    verify: Literal["never", "when_present", "always"] = "when_present"
    push_url: SecretUrl | None = None
    control_secret: Secret | None = None
    mode: Literal["AX", "AXB", "AXE", "AXYB", "X"] | None = None
    control: bool = False
    default: Decision | None = None
    answer_shape: Literal["object", "array"] = "object"
    key_variant: Literal["A", "B", "C"] = "A"
    model_shape: Literal["object", "string"] = "object"
    clock_skew: Duration = timedelta(minutes=15)
    call_events: bool = True
    progress: bool = True
    settle: Duration = timedelta(seconds=2)
    cdr_wait: Duration = timedelta(minutes=15)
    open_max: Duration = timedelta(hours=24)
    recording_api: Url | None = None
    recording_auth: Literal["aksk", "wsse"] = "aksk"
    recording_hosts: tuple[Host, ...] = ()
    allow_private: bool = False

    @model_validator(mode="after")
    def _can_verify(self) -> Self:
        if self.verify == "always" and self.app_secret is None:
            raise ValueError('verify = "always" needs app_secret')
        return self

    @model_validator(mode="after")
    def _default_has_a_callee(self) -> Self:
        if self.default is not None and self.default.action in GOING and not goes_somewhere(self.default):
            raise ValueError(f"a default of {self.default.action} needs a callee")
        return self


class Rule(Decision):
    """An answer that `decide` gives: the first rule whose every given field is that of the question."""

    source: Name
    number: str | None = None
    caller: str | None = None
    extension: str | None = None

    @model_validator(mode="after")
    def _has_a_callee(self) -> Self:
        if self.action in GOING and not goes_somewhere(self):
            raise ValueError(f"{self.action} needs a callee")
        return self


class WebhookSink(_Model):
    """POSTs each event, signed after Standard Webhooks; `secret` is its `whsec_...` or base64 key."""

    name: Name
    kind: Literal["webhook"]
    url: Url
    secret: Secret
    events: EventTypes = DEFAULT_EVENTS
    sources: tuple[Name, ...] = ()
    allow_private: bool = False
    timeout: Duration = timedelta(seconds=15)


class JsonlSink(_Model):
    """Appends each event's bytes as one line."""

    name: Name
    kind: Literal["jsonl"]
    path: Path
    events: EventTypes = DEFAULT_EVENTS
    sources: tuple[Name, ...] = ()


Sink = Annotated[WebhookSink | JsonlSink, Field(discriminator="kind")]


class DownstreamQueue(_Model):
    """A queue of exactly this name, declared and bound for the team that consumes it."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,120}$"), AfterValidator(_foreign)]
    events: EventTypes = DEFAULT_EVENTS
    sources: tuple[Name, ...] = ()


class Retry(_Model):
    """The waits before a stage's further attempts; after the last one comes the dead letter.

    `schedule` is for what may pass by itself, and `unexpected` for an error that nobody planned for (by default the
    same). What is not given keeps its default (`runtime.verdict`).
    """

    schedule: tuple[Tier, ...] | None = None
    unexpected: tuple[Tier, ...] | None = None


class Config(_Model):
    """The whole file."""

    broker: str = "embedded:var/broker.db"
    store: str = "sqlite:var/state"
    objects: str = "file:var/recordings"
    ingest: Ingest = Ingest()
    source: tuple[Source, ...] = ()
    sink: tuple[Sink, ...] = ()
    queue: tuple[DownstreamQueue, ...] = ()
    rule: tuple[Rule, ...] = ()
    retry: Mapping[RetryingStage, Retry] = {}

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        for kind, names in (
            ("source", [row.name for row in self.source]),
            ("sink", [row.name for row in self.sink]),
            ("queue", [row.name for row in self.queue]),
        ):
            if len(set(names)) != len(names):
                raise ValueError(f"two [[{kind}]] tables have the same name")
        return self

    @model_validator(mode="after")
    def _sources_exist(self) -> Self:
        known = {source.name for source in self.source}
        for row in (*self.sink, *self.queue):
            if unknown := set(row.sources) - known:
                raise ValueError(f"{row.name} names sources that do not exist: {', '.join(sorted(unknown))}")
        return self

    @model_validator(mode="after")
    def _questions_are_asked(self) -> Self:
        asking = {source.name for source in self.source if source.control}
        if silent := {rule.source for rule in self.rule} - asking:
            raise ValueError(f"a rule needs a source with control = true: {', '.join(sorted(silent))}")
        for source in self.source:
            if source.control and source.platform not in _ASKING:
                raise ValueError(f"{source.name}: control = true, but {source.platform} asks nothing")
            if source.default is not None and not source.control:
                raise ValueError(f"{source.name}: a default needs control = true")
        return self
