"""Where the broker, the state and the recordings are: each address is read once, here, and asked from then on.

`text` is the address as the config has it, a password included: it never stands in a `repr`, and what shows it redacts
it first.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, InstanceOf, PlainSerializer

_MEMORY: Final = ":memory:"
_HOST: Final = re.compile(r"(?:[^/?]*@)?(?:\[[0-9a-fA-F:.]+\]|[^][:@/?,\s]+)(?::\d{1,5})?(?:[/?]|$)")
_POSTGRESQL: Final = ("postgresql://", "postgres://")


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerAddress:
    """`embedded:PATH`, `embedded::memory:`, `amqp://...` or `amqps://...`, the latter with one host or several.

    `file` is that of the embedded broker; None in memory, and for RabbitMQ.
    """

    text: str = field(repr=False)
    embedded: bool
    file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreAddress:
    """`sqlite:DIR`, or `postgresql://...` (`postgres://...`); `directory` is None for a server."""

    text: str = field(repr=False)
    directory: Path | None = None

    @property
    def shared(self) -> bool:
        """Whether any number of processes may own the state: a server keeps it, and not a directory of ours."""
        return self.directory is None


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectsAddress:
    """`file:DIR`, or `s3://bucket/prefix?...`; `directory` is None for a bucket."""

    text: str = field(repr=False)
    directory: Path | None = None


def broker_address(text: str) -> BrokerAddress:
    """The address that the text is.

    Raises:
        ValueError: it is none, and what is allowed; the text is not repeated.
    """
    kind, _, rest = text.partition(":")
    if kind == "embedded" and rest:
        return BrokerAddress(text=text, embedded=True, file=None if rest == _MEMORY else Path(rest))
    if kind in ("amqp", "amqps"):
        _see_hosts(text)
        return BrokerAddress(text=text, embedded=False)
    raise ValueError("must be embedded:PATH, amqp://... or amqps://...")


def each_host(url: str) -> list[str]:
    """A URL whose place is a list (`amqp://user@h1,h2:5673,h3/vhost`) once for each host, in that order."""
    before, login, hosts, rest = _parts(url)
    return [f"{before}{login}{host}{rest}" for host in hosts.split(",")]


def with_login_of(first: str, url: str) -> str:
    """The list of hosts with the user and password of a URL of one of them."""
    before, _, hosts, rest = _parts(url)
    return f"{before}{_parts(first)[1]}{hosts}{rest}"


def _parts(url: str) -> tuple[str, str, str, str]:
    """Up to the login, the login with its `@`, the hosts, and the rest."""
    scheme, mark, place = url.partition("://")
    end = min(at for at in (place.find("/"), place.find("?"), len(place)) if at >= 0)
    login, at, hosts = place[:end].rpartition("@")
    return f"{scheme}{mark}", f"{login}{at}", hosts, place[end:]


def _see_hosts(url: str) -> None:
    """One alone is looked at when it is connected to."""
    several = each_host(url)
    if len(several) > 1 and not all(_HOST.match(one.partition("://")[2]) for one in several):
        raise ValueError("several hosts must be amqp://user:password@host[:port],host[:port]/[vhost]")


def store_address(text: str) -> StoreAddress:
    """The address that the text is.

    Raises:
        ValueError: as `broker_address`.
    """
    kind, _, rest = text.partition(":")
    if kind == "sqlite" and rest:
        return StoreAddress(text=text, directory=Path(rest))
    if text.startswith(_POSTGRESQL):
        return StoreAddress(text=text)
    raise ValueError("must be sqlite:DIR or postgresql://...")


def objects_address(text: str) -> ObjectsAddress:
    """The address that the text is; `file://DIR` is `file:DIR`.

    Raises:
        ValueError: as `broker_address`.
    """
    kind, _, rest = text.partition(":")
    path = rest.removeprefix("//")
    if kind == "file" and path:
        return ObjectsAddress(text=text, directory=Path(path))
    if text.startswith("s3://"):
        return ObjectsAddress(text=text)
    raise ValueError("must be file:DIR or s3://bucket/prefix")


def _read_by(parse: Callable[[str], Any]) -> BeforeValidator:
    return BeforeValidator(lambda given: parse(given) if isinstance(given, str) else given)


def _text(address: BrokerAddress | StoreAddress | ObjectsAddress) -> str:
    return address.text


Broker = Annotated[InstanceOf[BrokerAddress], _read_by(broker_address), PlainSerializer(_text)]
Store = Annotated[InstanceOf[StoreAddress], _read_by(store_address), PlainSerializer(_text)]
Objects = Annotated[InstanceOf[ObjectsAddress], _read_by(objects_address), PlainSerializer(_text)]
