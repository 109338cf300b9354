"""The words that settings are written in, and those that no platform, sink or stage has for itself.

Each part of the product has its settings beside it and takes its words from here; `workers.config` puts the file
together.
"""

from __future__ import annotations

import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from schemas.privacy.view import Manner, View
from schemas.topology import DEFAULT_EVENTS, EVENT_TYPES, RETRY_DELAYS
from schemas.vocabulary import Outcome, Product

_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~-]+")
_HOST: Final = re.compile(r"(\*?\.)?[^\s/:@\[\]]+(:\d+)?|\[[0-9A-Fa-f:.]+\](:\d+)?")
_MOST_PORT: Final = 65535
_STRONG_TOKEN: Final = 22
_LEAST_TOKEN: Final = 8
_LEAST_TOKEN_KEY: Final = 16
_OF_CALLS: Final = ("call.completed", "call.incomplete", "call.amended", "recording.stored", "recording.failed")
_UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


def _duration(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    match = _DURATION.fullmatch(value.strip())
    if match is None:
        raise ValueError("a duration looks like 500ms, 2s, 15m, 24h or 7d")
    return timedelta(seconds=float(match[1]) * _UNITS[match[2]])


def _some_time(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("a duration must be longer than 0s")
    return value


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
        raise ValueError("a URL starts with https:// (or http://) and a host")
    return value


def _secret_url(value: SecretStr) -> SecretStr:
    _url(value.get_secret_value())
    return value


def _host(value: str) -> str:
    if not _HOST.fullmatch(value):
        raise ValueError("a host has no scheme and no path: audio.example.com or .example.com, with or without :port")
    return value


def _token(value: SecretStr) -> SecretStr:
    """A token is one segment of the URL's path."""
    if not _TOKEN.fullmatch(value.get_secret_value()):
        raise ValueError("a token may contain only letters, digits and - . _ ~")
    return value


def _token_key(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) < _LEAST_TOKEN_KEY:
        raise ValueError(f"a token_key has at least {_LEAST_TOKEN_KEY} characters: who finds it finds the numbers")
    return value


def weak_token(value: str) -> bool:
    """Whether it can hold less than 128 bits: at most six to a character. It is the only secret of most platforms."""
    return len(value) < _STRONG_TOKEN


def no_token(value: str) -> bool:
    """Whether anybody can guess it."""
    return len(value) < _LEAST_TOKEN


def _event_type(value: str) -> str:
    if value not in EVENT_TYPES:
        raise ValueError(f"unknown event type; known ones: {', '.join(EVENT_TYPES)}")
    return value


def _tier(value: Any) -> str:
    """The delay queue of that length, however it is written: `60m` is `1h`."""
    length = _duration(value)
    for name, seconds in RETRY_DELAYS.items():
        if length == timedelta(seconds=seconds):
            return name
    raise ValueError(f"a retry can only wait in one of the delay queues: {', '.join(RETRY_DELAYS)}")


Duration = Annotated[timedelta, BeforeValidator(_duration), AfterValidator(_some_time)]
Delay = Annotated[timedelta, BeforeValidator(_duration), Field(ge=timedelta(0))]  # 0s: none
Secret = Annotated[SecretStr, BeforeValidator(_secret), Field(min_length=1)]
Given = Annotated[str, BeforeValidator(_secret)]  # no secret, and yet it may come as one does
Address = Annotated[str, AfterValidator(_address)]
Url = Annotated[str, AfterValidator(_url)]
SecretUrl = Annotated[Secret, AfterValidator(_secret_url)]
Host = Annotated[str, AfterValidator(_host)]
Token = Annotated[Secret, AfterValidator(_token)]
TokenKey = Annotated[Secret, AfterValidator(_token_key)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")]
Tier = Annotated[str, BeforeValidator(_tier)]
EventTypes = Annotated[tuple[Annotated[str, AfterValidator(_event_type)], ...], Field(min_length=1)]


class Settings(BaseModel):
    """A table of the file: it never changes, knows all its keys, and its faults tell no value."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Ingest(Settings):
    """The door; `admin` serves health and metrics and stays on loopback unless told otherwise.

    A door on its own says for `drain_delay` that it is not ready, and still answers, before it closes. It holds at
    most `connections`, fewer where the system allows fewer open files, and `connections_per_address` (0: any number).
    """

    listen: Address = "127.0.0.1:8080"
    admin: Address = "127.0.0.1:8081"
    drain_delay: Delay = timedelta(seconds=5)
    connections: Annotated[int, Field(ge=1)] = 10_000
    connections_per_address: Annotated[int, Field(ge=0)] = 0


class Fields(Settings):
    """How an outlet gets numbers, what an SMS says, and what the customer attached."""

    numbers: Manner = "clear"
    text: Manner = "clear"
    user_data: Manner = "clear"

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("names none of numbers, text and user_data")
        return self


class Choice(Settings):
    """Which events somebody wants: all that hold for each key that is given; and what is seen of them.

    `fields`: how numbers and texts are seen, where not in clear; `token_key` makes tokens of them, and of whatever
    number an id holds, so that numbers which are not clear need it. `drop`: what is
    left empty. `platforms`: those of the sources of these platforms. `outcomes`, `products`: those with a call's record
    that has one of them, and none of another type.
    """

    name: str
    events: EventTypes = DEFAULT_EVENTS
    sources: tuple[Name, ...] = ()
    platforms: tuple[str, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    products: tuple[Product, ...] = ()
    fields: Fields | None = None
    token_key: TokenKey | None = None
    drop: tuple[Literal["raw", "timeline"], ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _no_events_are_those_that_can_have_it(cls, given: Any) -> Any:
        if isinstance(given, dict) and "events" not in given and (given.get("outcomes") or given.get("products")):
            return {**given, "events": _OF_CALLS}
        return given

    @model_validator(mode="after")
    def _events_can_have_it(self) -> Self:
        if self.filtered and (never := [event for event in self.events if event not in _OF_CALLS]):
            raise ValueError(
                f"outcomes and products are of a call's record, which {', '.join(never)} never has;"
                f" the events that have one: {', '.join(_OF_CALLS)}"
            )
        return self

    @model_validator(mode="after")
    def _tokens_have_a_key(self) -> Self:
        if self.fields is None or self.token_key is not None:
            return self
        if "token" in self.fields.model_dump().values():
            raise ValueError("token needs a token_key: a secret, the same for all outlets whose tokens are to be equal")
        if self.fields.numbers != "clear":
            raise ValueError(
                f'numbers = "{self.fields.numbers}" needs a token_key: an id that a platform made of a number has its'
                " token there, and two masked ids could be one"
            )
        return self

    @property
    def view(self) -> View | None:
        """What is seen of an event, where that is not all of it."""
        if self.fields is None and not self.drop:
            return None
        key = self.token_key.get_secret_value().encode() if self.token_key else b""
        manners = self.fields.model_dump() if self.fields else {}
        return View(**manners, without=frozenset(self.drop), key=key)

    @property
    def filtered(self) -> bool:
        """Whether what an event says decides, which no binding of a broker can."""
        return bool(self.outcomes or self.products)


class Outlet(Choice):
    """Where events go: those that it wants.

    They come in batches, unless `batch` is false; where it is not given, a sink stays as it was declared before.
    """

    name: Name
    batch: bool | None = None

    @property
    def manner(self) -> str:
        """How it writes, in a few words without any secret, for who tries it."""
        return ""

    async def check(self) -> None:
        """See that it could be opened, without opening it; raises what opening would."""
