"""AMQPS and PostgreSQL over TLS with a private CA: the right one works end to end, anything else is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import pytest

from tests.e2e.balance import wait_until_balanced
from tests.e2e.running import playing, running_up
from tests.e2e.test_exit_codes import Ended, callstitch
from tests.services.certificates import HOST, Authority, TlsRabbitMQ, make_authority, postgresql_with
from tests.services.postgresql import PostgreSQL

RATE = 50.0
BALANCED_SECONDS = 120.0
ALL_OVER_TLS = (
    "DO $$ BEGIN ASSERT (SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
    " WHERE application_name = 'callstitch'); END $$"
)
CONFIG = '[[source]]\nname = "huawei"\nplatform = "huawei_privatenumber"\ntokens = ["env:E2E_TOKEN"]\n'


@dataclass(frozen=True)
class Secured:
    """Both servers with certificates for `localhost`, and a CA that signed neither."""

    ours: Authority
    strangers: Authority
    rabbitmq: TlsRabbitMQ
    postgresql: PostgreSQL
    database: str

    def broker(self, query: str, *, host: str = HOST) -> str:
        return f"amqps://guest:guest@{host}:{self.rabbitmq.tls_port}/shared?{query}"

    def store(self, query: str, *, host: str = HOST) -> str:
        return f"postgresql://callstitch@{host}:{self.postgresql.port}/{self.database}?{query}"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, openssl: Path) -> Iterator[Secured]:
    directory = tmp_path_factory.mktemp("tls")
    ours, strangers = (make_authority(openssl, directory / name) for name in ("ours", "strangers"))
    postgresql = postgresql_with(ours)
    rabbitmq = TlsRabbitMQ(ours)
    yield Secured(ours, strangers, rabbitmq, postgresql, postgresql.make_database().rpartition("/")[2])
    rabbitmq.close()
    postgresql.close()


def checked(directory: Path, *, broker: str = "embedded:b.db", store: str = "sqlite:state") -> Ended:
    (directory / "config.toml").write_text(CONFIG)
    environ = {"E2E_TOKEN": "x" * 24, "CALLSTITCH_BROKER": broker, "CALLSTITCH_STORE": store}
    return callstitch(directory, "check", "--config", "config.toml", **environ)


def test_both_over_tls_with_the_right_ca_carry_a_call_end_to_end(tmp_path: Path, secured: Secured) -> None:
    broker = secured.broker(f"cafile={secured.ours.ca}")
    store = secured.store(f"sslmode=verify-full&sslrootcert={secured.ours.ca}")
    with running_up(tmp_path, broker=broker, store=store) as up, playing(up, calls=10, rate=RATE) as emulator:
        wait_until_balanced(up, emulator.finish(), BALANCED_SECONDS, store=store)
        secured.postgresql.sql(ALL_OVER_TLS)
        assert up.terminate() == 0


def test_what_is_not_trusted_is_refused_at_once_and_told_why(tmp_path: Path, secured: Secured) -> None:
    """A stranger's CA, the system's, a name that the certificate is not for, a file that is not there."""
    ours, strangers = (f"sslmode=verify-full&sslrootcert={one.ca}" for one in (secured.ours, secured.strangers))
    stores = {
        secured.store(strangers): "its certificate is refused: unable to get local issuer certificate",
        secured.store(ours, host="127.0.0.1"): "its certificate is refused: IP address mismatch",
        secured.store("sslmode=verify-full&sslrootcert=no.pem"): "sslrootcert: cannot read no.pem",
    }
    brokers = {
        secured.broker(f"cafile={secured.strangers.ca}"): "its certificate is refused: ",
        secured.broker(""): "its certificate is refused: ",
        secured.broker(
            f"cafile={secured.ours.ca}", host="127.0.0.1"
        ): "its certificate is refused: IP address mismatch",
        secured.broker("cafile=no.pem"): "cafile: cannot read no.pem",
    }
    for (store, of_store), (broker, of_broker) in zip_longest(stores.items(), brokers.items(), fillvalue=("", "")):
        ended = checked(tmp_path, broker=broker, store=store or "sqlite:state")
        assert (ended.code, of_store in ended.output, of_broker in ended.output) == (78, True, True), ended.output
        assert "was not reached within" not in ended.output
