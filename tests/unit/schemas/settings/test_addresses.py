"""Addresses of broker, state and recordings: what each form means, and what is said of one that is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.settings.addresses import (
    BrokerAddress,
    ObjectsAddress,
    StoreAddress,
    broker_address,
    each_host,
    objects_address,
    store_address,
)

HIDDEN = "hunter2"

BROKERS = [
    ("embedded:var/broker.db", BrokerAddress(text="embedded:var/broker.db", embedded=True, file=Path("var/broker.db"))),
    ("embedded::memory:", BrokerAddress(text="embedded::memory:", embedded=True)),
    ("amqp://u@h/v", BrokerAddress(text="amqp://u@h/v", embedded=False)),
    ("amqps://u@h/v", BrokerAddress(text="amqps://u@h/v", embedded=False)),
]
STORES = [
    ("sqlite:var/state", StoreAddress(text="sqlite:var/state", directory=Path("var/state"))),
    ("postgresql://h/d", StoreAddress(text="postgresql://h/d")),
    ("postgres://h/d", StoreAddress(text="postgres://h/d")),
]
OBJECTS = [
    ("file:var/recordings", ObjectsAddress(text="file:var/recordings", directory=Path("var/recordings"))),
    ("file:///srv/audio", ObjectsAddress(text="file:///srv/audio", directory=Path("/srv/audio"))),
    ("s3://bucket/prefix?region=r", ObjectsAddress(text="s3://bucket/prefix?region=r")),
]
STRANGE: dict[Callable[[str], object], list[str]] = {
    broker_address: ["", "embedded", "embedded:", "rabbitmq://h", f"kafka://u:{HIDDEN}@h", "AMQP://h", "var/broker.db"],
    store_address: ["", "sqlite", "sqlite:", f"mysql://u:{HIDDEN}@h/d", "mysql:x", "redis:x", "var/state"],
    objects_address: ["", "file", "file:", "file://", "s3:bucket", f"ftp://u:{HIDDEN}@h/x", "var/recordings"],
}
ALLOWED: dict[Callable[[str], object], str] = {
    broker_address: "must be embedded:PATH, amqp://...",
    store_address: "must be sqlite:DIR or postgresql://...",
    objects_address: "must be file:DIR or s3://bucket/prefix",
}


@pytest.mark.parametrize(("text", "address"), BROKERS)
def test_a_broker_is_embedded_in_a_file_or_in_memory_or_it_is_rabbitmq(text: str, address: BrokerAddress) -> None:
    assert broker_address(text) == address


@pytest.mark.parametrize(
    ("text", "each"),
    [
        ("amqp://u:p@h1,h2:5673,[::1]:5674/v?a=b,c", ["h1/v?a=b,c", "h2:5673/v?a=b,c", "[::1]:5674/v?a=b,c"]),
        ("amqp://u:p@h/v,w", ["h/v,w"]),
        ("amqp://u:p@h1,h2", ["h1", "h2"]),
        ("amqp://u:p@h1,h2?heartbeat=5", ["h1?heartbeat=5", "h2?heartbeat=5"]),
    ],
)
def test_a_cluster_is_a_list_of_hosts_and_each_has_the_same_login_vhost_and_query(text: str, each: list[str]) -> None:
    assert each_host(broker_address(text).text) == [f"amqp://u:p@{one}" for one in each]


@pytest.mark.parametrize("hosts", ["h1,", ",h2", "h1,,h2", "h1,h2:x", "h1:123456,h2", "h1,h 2"])
def test_a_list_with_a_host_that_is_none_is_refused_and_not_repeated(hosts: str) -> None:
    with pytest.raises(ValueError, match="several hosts must be") as refused:
        broker_address(f"amqp://u:{HIDDEN}@{hosts}/v")
    assert HIDDEN not in str(refused.value)


@pytest.mark.parametrize(("text", "address"), STORES)
def test_a_store_is_a_directory_or_shared(text: str, address: StoreAddress) -> None:
    assert store_address(text) == address
    assert address.shared is (address.directory is None)


@pytest.mark.parametrize(("text", "address"), OBJECTS)
def test_recordings_lie_in_a_directory_or_in_a_bucket(text: str, address: ObjectsAddress) -> None:
    assert objects_address(text) == address


@pytest.mark.parametrize(("parse", "text"), [(parse, text) for parse, texts in STRANGE.items() for text in texts])
def test_anything_else_is_refused_with_what_is_allowed_and_is_not_repeated(
    parse: Callable[[str], object], text: str
) -> None:
    with pytest.raises(ValueError, match="must be") as refused:
        parse(text)
    assert str(refused.value).startswith(ALLOWED[parse])
    assert HIDDEN not in str(refused.value)


def test_the_repr_of_an_address_holds_no_password() -> None:
    addresses = (broker_address(f"amqp://u:{HIDDEN}@h/v"), store_address(f"postgresql://u:{HIDDEN}@h/d"))
    assert [address for address in addresses if HIDDEN in repr(address) + str(address)] == []
