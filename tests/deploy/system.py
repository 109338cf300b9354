"""A running system with a Prometheus that watches it by the files of deploy/: every role on RabbitMQ and PostgreSQL."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tests.deploy.watching import ALERTS, DEPLOY
from tests.e2e.programs import Role, wait_for
from tests.e2e.roles import FILE_WORKERS, running_roles
from tests.e2e.running import Emulator, Up, playing
from tests.services import debian
from tests.services.endpoint import Endpoint, an_endpoint
from tests.services.postgresql import PostgreSQL
from tests.services.prometheus import Prometheus
from tests.services.rabbitmq import RabbitMQ
from tests.services.rabbitmq_metrics import expose_metrics

PATIENCE_SECONDS: Final = 90.0
WORKERS: Final = {**FILE_WORKERS, "hook": ("fan_out", "--sink", "hook"), "decide": ("decide", "--processes", "2")}
RATE: Final = 10.0  # notifications a second
CALLS: Final = 1000  # for longer than the tests take
SHORT_FOR: Final = "1s"
# What a drill makes fire, and its limit where that is longer than a test has.
SHORTENED: Final[Mapping[str, tuple[str, str]]] = {
    "CallstitchLate": ("> 60", "> 5"),
    "CallstitchQueueUnattended": ("> 60", "> 5"),
    "CallstitchNoConsumer": ("", ""),
    "CallstitchDown": ("", ""),
    "CallstitchNotReady": ("", ""),
    "CallstitchStoreAway": ("", ""),
    "CallstitchHeld": ("", ""),
    "CallstitchBrokerAway": ("", ""),
    "CallstitchNoDoor": ("", ""),
    "CallstitchDoorRefuses": ("", ""),
    "RabbitmqDown": ("", ""),
    "CallstitchSinkPaused": ("", ""),
    "CallstitchSinkAway": ("", ""),
    "CallstitchSinkFails": ("[10m]", "[10s]"),
    "CallstitchDeadLetters": ("", ""),
    "CallstitchQuarantine": ("", ""),
    "CallstitchLedgerDiffers": ("[30m:1m]", "[5s:1s]"),
}


@dataclass(frozen=True, kw_only=True)
class System:
    """All of it, under a little traffic."""

    door: Up
    workers: Mapping[str, Role]
    emulator: Emulator
    endpoint: Endpoint
    rabbitmq: RabbitMQ
    postgresql: PostgreSQL
    store: str
    prometheus: Prometheus

    def wait_until_fire(self, *alerts: str) -> None:
        """Return once all of them fire."""
        wait_for(lambda: set(alerts) <= self.prometheus.firing(), PATIENCE_SECONDS, why=self._why)

    def wait_until_quiet(self) -> None:
        """Return once none fires."""
        wait_for(lambda: not self.prometheus.firing(), PATIENCE_SECONDS, why=self._why)

    def _why(self) -> str:
        ready = {one.name: one.is_ready() for one in (self.door, *self.workers.values())}
        return f"firing: {sorted(self.prometheus.firing())}, ready: {ready}"


@contextmanager
def watched_system(directory: Path) -> Iterator[System]:
    """Everything started and ready, traffic on its way."""
    with (
        closing(debian.or_skip(RabbitMQ)) as rabbitmq,
        closing(debian.or_skip(PostgreSQL)) as postgresql,
        an_endpoint() as endpoint,
    ):
        metrics = expose_metrics(rabbitmq)
        store = postgresql.make_database()
        with (
            running_roles(
                directory, rabbitmq.url, extra=_extra(endpoint), workers=WORKERS, store=store, control=True
            ) as (door, workers),
            playing(door, calls=CALLS, rate=RATE) as emulator,
        ):
            roles = {"ingest": door.admin, **{name: role.admin for name, role in workers.items()}}
            prometheus = Prometheus(_config(directory, roles, metrics))
            try:
                yield System(
                    door=door,
                    workers=workers,
                    emulator=emulator,
                    endpoint=endpoint,
                    rabbitmq=rabbitmq,
                    postgresql=postgresql,
                    store=store,
                    prometheus=prometheus,
                )
            finally:
                prometheus.close()


def _extra(endpoint: Endpoint) -> str:
    secret = "whsec_" + base64.b64encode(b"a key of thirty-two bytes length").decode()
    return f"""
[retry.fan_out]
schedule = ["1s", "5s", "30s"]
[[sink]]
name = "hook"
kind = "webhook"
url = "{endpoint.url}"
secret = "{secret}"
allow_private = true
[[queue]]
name = "billing"
[[rule]]
source = "huawei"
number = "+8617010000002"
action = "connect"
callee = "+8613800000022"
"""


def _config(directory: Path, roles: Mapping[str, str], rabbitmq: int) -> Path:
    """deploy/prometheus.yaml, with addresses of this machine, scraping each second."""
    config: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus.yaml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    ours, node, queues = config["scrape_configs"]
    assert [ours["job_name"], node["job_name"], queues["job_name"]] == ["callstitch", "rabbitmq", "rabbitmq-queues"]
    del ours["dns_sd_configs"], ours["relabel_configs"]
    ours["static_configs"] = [{"targets": [admin], "labels": {"role": name}} for name, admin in roles.items()]
    for job in (node, queues):
        job["static_configs"] = [{"targets": [f"127.0.0.1:{rabbitmq}"]}]
    (directory / "alerts.yaml").write_text(yaml.safe_dump(_shortened()))
    file = directory / "prometheus.yaml"
    file.write_text(yaml.safe_dump(config))
    return file


def _shortened() -> dict[str, Any]:
    """The rules of deploy/, those that a drill makes fire with a short patience; the others as they are."""
    rules: dict[str, Any] = yaml.safe_load(ALERTS.read_text())
    by_name = {rule["alert"]: rule for group in rules["groups"] for rule in group["rules"]}
    for name, (limit, short) in SHORTENED.items():
        rule = by_name[name]
        assert limit in rule["expr"], name
        rule["expr"] = rule["expr"].replace(limit, short) if limit else rule["expr"]
        rule["for"] = SHORT_FOR
    return rules
