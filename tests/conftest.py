"""Services for the tests that need one, and the rule that CI skips nothing.

A service starts when the first test asks for it and ends with the run. Where it cannot be had the test is
skipped with the reason; with CI=true that skip is a failure.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import pytest
import structlog
from hypothesis import settings

from tests.services import certificates, debian, outside_rabbitmq, postgresql, prometheus, rabbitmq
from tests.services import pgbouncer as pgbouncer_service
from tests.services.postgresql import PostgreSQL
from tests.services.rabbitmq import RabbitMQ

OUTSIDE_RABBITMQ: Final = rabbitmq.OUTSIDE
OUTSIDE_POSTGRESQL: Final = "CALLSTITCH_TEST_POSTGRES"
_AMQP_TOOLS: Final = "/usr/bin/amqp-consume"
_JQ: Final = "/usr/bin/jq"
_NPM: Final = "/usr/bin/npm"
LONGEST_FIRST: Final = (
    "containers/test_containers.py",
    "deploy/test_watched.py",
    "e2e/test_chaos.py",
    "scenarios/test_crash_windows.py",
    "scenarios/test_crash_windows_apart.py",
    "e2e/test_processes.py",
    "e2e/test_cluster.py",
    "deploy/test_load_curve_replayed.py",
    "e2e/test_upgrade.py",
    "e2e/test_edge.py",
    "e2e/test_feed.py",
    "e2e/test_consuming.py",
    "integration/test_contract_tools.py",
    "e2e/test_demo.py",
    "scenarios/test_poison.py",
    "e2e/test_outage.py",
    "e2e/test_drain.py",
    "e2e/test_store_moves.py",
    "e2e/test_reload.py",
)

if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # under nohup, which a handler of ours does not hand on
    signal.signal(signal.SIGHUP, lambda *_: None)
settings.register_profile("callstitch", deadline=None)  # a test that is slow on a busy machine is no wrong one
settings.load_profile("callstitch")


@pytest.fixture(autouse=True)
def logs_end_with_their_test() -> Iterator[None]:
    """What a test sets up for its process, as our commands do, writes to its own stderr, closed for the next."""
    yield
    structlog.reset_defaults()
    root = logging.getLogger()
    for handler in [one for one in root.handlers if type(one).__module__ == "runtime.logs"]:
        root.removeHandler(handler)


@pytest.fixture(scope="session")
def rabbitmq_nodes() -> Iterator[Callable[[str | None], RabbitMQ]]:
    """The private RabbitMQ node of a release that the whole run shares, started when first asked for."""
    nodes: dict[str | None, RabbitMQ] = {}

    def node_of(release: str | None) -> RabbitMQ:
        if release not in nodes:
            nodes[release] = debian.or_skip(lambda: RabbitMQ(release))
        return nodes[release]

    yield node_of
    for node in nodes.values():
        node.close()


@pytest.fixture
def rabbitmq_release() -> str | None:
    """The suite whose RabbitMQ a test runs on; None is this machine's. Overridden where it is run on several."""
    return rabbitmq.OLDEST


@pytest.fixture
def rabbitmq_node(rabbitmq_nodes: Callable[[str | None], RabbitMQ], rabbitmq_release: str | None) -> RabbitMQ:
    """The private RabbitMQ node that the whole run shares; tests do not stop it."""
    return rabbitmq_nodes(rabbitmq_release)


@pytest.fixture
def amqp_url(request: pytest.FixtureRequest, rabbitmq_release: str | None) -> str:
    """A vhost that the whole run shares: for tests whose names are all their own."""
    if outside := _outside(request, rabbitmq_release):
        return outside
    node: RabbitMQ = request.getfixturevalue("rabbitmq_node")
    return node.url


@pytest.fixture
def fresh_amqp_url(request: pytest.FixtureRequest, rabbitmq_release: str | None) -> Iterator[str]:
    """An empty vhost of this test's own, deleted afterwards: for tests that declare our topology.

    On a RabbitMQ from outside it is that one's vhost, with our exchanges and queues deleted before and after.
    """
    if outside := _outside(request, rabbitmq_release):
        outside_rabbitmq.delete_topology(outside)
        yield outside
        outside_rabbitmq.delete_topology(outside)
        return
    node: RabbitMQ = request.getfixturevalue("rabbitmq_node")
    url = node.make_vhost()
    yield url
    node.delete_vhost(url)


@pytest.fixture
def own_rabbitmq(rabbitmq_release: str | None) -> Iterator[RabbitMQ]:
    """A node of this test's own, to stop, kill and start; booting takes some 8 seconds each time."""
    node = debian.or_skip(lambda: RabbitMQ(rabbitmq_release))
    yield node
    node.close()


@pytest.fixture(scope="session")
def postgresql_cluster() -> Iterator[PostgreSQL]:
    """The private PostgreSQL cluster that the whole run shares; tests do not stop it."""
    cluster = debian.or_skip(PostgreSQL)
    yield cluster
    cluster.close()


@pytest.fixture
def postgres_dsn(request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database of this test's own; on a PostgreSQL from outside, that one's database as it is."""
    if outside := os.environ.get(OUTSIDE_POSTGRESQL):
        yield outside
        return
    cluster: PostgreSQL = request.getfixturevalue("postgresql_cluster")
    dsn = cluster.make_database()
    yield dsn
    cluster.delete_database(dsn)


@pytest.fixture
def own_postgresql() -> Iterator[PostgreSQL]:
    """A cluster of this test's own, to stop, kill and start."""
    cluster = debian.or_skip(PostgreSQL)
    yield cluster
    cluster.close()


@pytest.fixture(scope="session")
def prometheus_package() -> Path:
    """Debian's package of Prometheus, with promtool."""
    return debian.or_skip(prometheus.install)


@pytest.fixture(scope="session")
def amqp_consume() -> Path:
    """The C client `amqp-consume` of Debian's amqp-tools."""
    return debian.or_skip(_install_amqp_tools)


@pytest.fixture(scope="session")
def npm() -> Path:
    """Node's package manager, and with it Node."""
    return debian.or_skip(_install_npm)


@pytest.fixture(scope="session")
def openssl() -> Path:
    """The command `openssl`, which makes certificates."""
    return debian.or_skip(certificates.install)


@pytest.fixture(scope="session")
def pgbouncer() -> Path:
    """The program PgBouncer, of which tests run their own (`tests.services.pgbouncer`)."""
    return debian.or_skip(pgbouncer_service.install)


@pytest.fixture(scope="session")
def jq() -> Path:
    """The JSON filter `jq`, which README looks at a record with."""
    return debian.or_skip(_install_jq)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Install what the collected tests need now: a test's own time limit is too short for a slow mirror."""
    if session.config.option.collectonly:
        return
    wanted = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    if any(item.get_closest_marker("rabbitmq") for item in session.items):
        wanted.add("amqp_url")
    for install in _installs(wanted):
        with contextlib.suppress(debian.Missing):  # the fixture says it again, to each test that needs it
            install()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest go first: workers take whole files, in this order (--no-loadscope-reorder)."""
    here = Path(__file__).parent
    places = {here / name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With CI=true a skipped test is a failed one."""
    report = yield
    if debian.in_ci() and report.skipped and not hasattr(report, "wasxfail"):
        _fail(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """With CI=true a skipped module is a failed one."""
    report = yield
    if debian.in_ci() and report.skipped:
        _fail(report)
    return report


def _outside(request: pytest.FixtureRequest, release: str | None) -> str | None:
    """The RabbitMQ from outside, unless a test wants a release of its own or has a hand in the node itself."""
    ours = release is not None or "rabbitmq_node" in request.fixturenames
    return None if ours else os.environ.get(OUTSIDE_RABBITMQ)


def _fail(report: pytest.TestReport | pytest.CollectReport) -> None:
    report.longrepr = f"skipped, and CI=true skips nothing: {report.longreprtext}"
    report.outcome = "failed"


def _installs(fixtures: set[str]) -> Iterator[Callable[[], object]]:
    newest = rabbitmq.RELEASES.get("rabbitmq-4")
    if newest is not None and "rabbitmq_release" in fixtures:
        yield partial(rabbitmq.install, newest)
    shares_rabbitmq = fixtures & {"amqp_url", "fresh_amqp_url"} and OUTSIDE_RABBITMQ not in os.environ
    if shares_rabbitmq or fixtures & {"rabbitmq_node", "own_rabbitmq"}:
        yield rabbitmq.install
    shares_postgresql = fixtures & {"postgresql_cluster", "postgres_dsn"} and OUTSIDE_POSTGRESQL not in os.environ
    if shares_postgresql or "own_postgresql" in fixtures:
        yield postgresql.install
    if "prometheus_package" in fixtures:
        yield prometheus.install
    if "amqp_consume" in fixtures:
        yield _install_amqp_tools
    if "npm" in fixtures:
        yield _install_npm
    if "jq" in fixtures:
        yield _install_jq
    if "openssl" in fixtures:
        yield certificates.install
    if "pgbouncer" in fixtures:
        yield pgbouncer_service.install


def _install_amqp_tools() -> Path:
    return debian.program(_AMQP_TOOLS, package="amqp-tools")


def _install_npm() -> Path:
    return debian.program(_NPM, package="npm")


def _install_jq() -> Path:
    return debian.program(_JQ, package="jq")
