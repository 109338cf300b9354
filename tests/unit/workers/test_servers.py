"""What the URL of a store says of its servers, and that no error shows its password."""

from __future__ import annotations

import ssl

import asyncpg
import pytest

from workers.stores.postgresql.servers import NotReached, Servers, servers_of, words

SECRET = "hunter2hunter2"


@pytest.mark.parametrize(
    ("url", "hosts", "database"),
    [
        ("postgresql://h/d", [("h", 5432)], "d"),
        (f"postgresql://u:{SECRET}@h1:1,h2,h3:3/d?target_session_attrs=read-write", ["h1:1", "h2:5432", "h3:3"], "d"),
        ("postgres://u@h1,h2/d?port=6,7", ["h1:6", "h2:7"], "d"),
        ("postgresql://u@h1,h2/d?port=6", ["h1:6", "h2:6"], "d"),
        ("postgresql:///d?host=h1,h2&user=u", ["h1:5432", "h2:5432"], "d"),
        ("postgresql://[::1]:1,[::2]/d", ["::1:1", "::2:5432"], "d"),
        ("postgresql://%2Frun%2Fpg/d", ["/run/pg:5432"], "d"),
        ("postgresql:///d", [], "d"),
        ("postgresql://h?dbname=e", ["h:5432"], "e"),
        (f"postgresql://u:p@{SECRET}@h/d", ["h:5432"], "d"),
    ],
)
def test_the_servers_of_a_url(url: str, hosts: list[str | tuple[str, int]], database: str) -> None:
    servers = servers_of(url)
    assert [f"{host}:{port}" for host, port in servers.hosts] == [
        one if isinstance(one, str) else f"{one[0]}:{one[1]}" for one in hosts
    ]
    assert servers.database == database
    assert SECRET not in repr(servers)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"postgresql://u:{SECRET}@h:x/d", "host's name or port"),
        (f"postgresql://u:{SECRET}@h1,/d", "host's name or port"),
        (f"postgresql://u:{SECRET}@h1,h2,h3/d?port=1,2", "as many ports as hosts"),
        (f"postgresql://h/d?{SECRET}", "not a URL"),
        (f"postgresql://u:{SECRET}@h/d?target_session_attrs=standby", "the roles write"),
        (f"postgresql://u:{SECRET}@h/d?sslmode=verify-full&sslrootcert=/no/such.pem", "cannot read /no/such.pem"),
    ],
)
def test_a_url_that_is_none_is_told_without_its_password(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as told:
        servers_of(url)
    assert SECRET not in str(told.value)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 1)"), "Connection refused"),
        (TimeoutError(), "no answer in time"),
        (asyncpg.TargetServerAttributeNotMatched("None of ..."), "it takes no writes"),
        (asyncpg.InvalidPasswordError('password authentication failed for user "u"'), "password authentication failed"),
        (ssl.SSLCertVerificationError(1, "[SSL: ...]"), "its certificate is refused"),
    ],
)
def test_why_a_server_did_not_take_us_is_told_in_words(error: Exception, said: str) -> None:
    if isinstance(error, ssl.SSLCertVerificationError):
        error.verify_message = "self-signed certificate"
    assert words(error).startswith(said)


def test_only_what_every_server_would_say_again_is_a_fault_of_the_config() -> None:
    wrong = asyncpg.InvalidPasswordError("password authentication failed")
    assert NotReached("", [wrong, wrong]).refused
    assert not NotReached("", [wrong, ConnectionRefusedError()]).refused


async def test_every_server_is_told_and_the_database() -> None:
    servers: Servers = servers_of(f"postgresql://u:{SECRET}@127.0.0.1:1,[::1]:2/calls")
    with pytest.raises(NotReached) as told:
        await servers.connect()
    assert str(told.value).startswith("127.0.0.1:1: Connection refused; ::1:2: ")
    assert str(told.value).endswith("(database calls)")
