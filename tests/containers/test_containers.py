"""The real image from the real Dockerfile, and the compose file as containers, while things are done to them.

CALLSTITCH_CONTAINERS names a folder in which the stand-ins are kept for the next run; with CALLSTITCH_IMAGES=pull a
registry is asked instead. `python -m tests.containers` starts the same stack by hand.
"""

from __future__ import annotations

import json
import os
import re
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.bench import builds
from tests.containers import stand_ins
from tests.containers.engine import Engine, install
from tests.containers.stack import ROLES, Stack, environ_of, running
from tests.e2e.programs import wait_for
from tests.services import debian

pytestmark = pytest.mark.timeout(1200)  # the stand-ins are built first, while other tests have the machine

MEGABYTE: Final = 1_000_000
MOST_OVER_BASE: Final = 150 * MEGABYTE
BACK_SECONDS: Final = 60.0  # alone on two cores it takes 3; a test run beside it has the cores
START_SECONDS: Final = 60.0
PLAY_SECONDS: Final = 420.0
RECONCILED_SECONDS: Final = 90.0
SCALED: Final = ("dedupe", "correlate")
UID: Final = "10001"
STATUS: Final = "print(open('/proc/1/status').read())"
# What can be written to, of places that somebody might try.
WRITE: Final = """
import errno, os
for place in ("/", "/etc", "/opt/callstitch", "/tmp", "/dev/shm"):
    try:
        os.close(os.open(place + "/x", os.O_CREAT | os.O_WRONLY))
    except OSError as error:
        print(place, errno.errorcode[error.errno])
    else:
        print(place, "written")
"""
BUCKET: Final = (
    "import urllib.request as r; print(r.urlopen('http://s3:7070/recordings?list-type=2').read().count(b'<Key>'))"
)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """Podman, and every image that the compose file needs."""
    debian.or_skip(install)
    kept = os.environ.get("CALLSTITCH_CONTAINERS")
    home = Path(kept or tempfile.mkdtemp(prefix="callstitch-containers-", dir="/var/tmp"))
    engine = Engine(home=home)
    try:
        stand_ins.build_all(engine, pull=os.environ.get("CALLSTITCH_IMAGES") == "pull")
        yield engine
    finally:
        engine.close(keep_images=bool(kept))


@pytest.fixture(scope="module")
def stack(engine: Engine) -> Iterator[Stack]:
    """All of deploy/compose.yaml but the profile `watch`."""
    with running(Stack(engine=engine)) as stack:
        yield stack


def said(*what: object) -> None:
    """Figures for whoever reads the run (`pytest -s`, `make containers`)."""
    print(*what)  # noqa: T201


def test_the_image_is_small_and_holds_no_installer(engine: Engine) -> None:
    def size(name: str) -> int:
        return int(engine.podman("image", "inspect", "--format", "{{.Size}}", name).stdout)

    whole, base = size(stand_ins.IMAGE), size(stand_ins.base_image())
    said(f"image: {whole / MEGABYTE:.0f} MB, {(whole - base) / MEGABYTE:.0f} MB over its base")
    assert whole - base < MOST_OVER_BASE
    found = engine.podman(
        "run", "--rm", "--entrypoint", "/opt/callstitch/bin/python", stand_ins.IMAGE,
        "-c", "import importlib.util as u; print([n for n in ('pip', 'setuptools', 'pytest') if u.find_spec(n)])",
    )  # fmt: skip
    assert found.stdout.strip() == "[]"


def test_the_image_runs_on_an_optimised_python(engine: Engine) -> None:
    asked = ["run", "--rm", "--entrypoint", "/opt/callstitch/bin/python", stand_ins.IMAGE, "-c", builds.ASK]
    told = builds.described(engine.podman(*asked).stdout)
    said(f"image: Python {told}")
    assert re.match(r"3\.1[34]\.", told)
    assert "not optimised" not in told


def test_the_image_says_what_it_is(engine: Engine) -> None:
    (found,) = json.loads(engine.podman("image", "inspect", stand_ins.IMAGE).stdout)
    labels = found["Labels"]
    assert found["User"] == f"{UID}:{UID}"
    assert found["Config"]["Entrypoint"] == ["callstitch"]
    assert found["Healthcheck"]["Test"] == ["CMD", "callstitch", "health"]
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert labels["org.opencontainers.image.base.name"] == stand_ins.base_image()


def test_a_command_that_knows_no_drain_ends_at_a_signal_too(engine: Engine) -> None:
    """The kernel spares the first process of a container every signal that it does not handle."""
    name = "callstitch-told-to-stop"
    arguments = ["emulate", "--linger", "-1", "--to", "http://127.0.0.1:1/v1/a/b"]
    engine.podman("run", "--detach", "--name", name, "--network", "none", stand_ins.IMAGE, *arguments)
    wait_for(lambda: handles_sigterm(engine, name), START_SECONDS)
    engine.podman("stop", "--time", "30", name)
    assert engine.podman("inspect", "--format", "{{.State.ExitCode}}", name).stdout.strip() == "143"


@pytest.mark.parametrize("service", ROLES)
def test_a_role_is_nobody_and_can_write_nothing(stack: Stack, service: str) -> None:
    (name,) = stack.names(service)
    known, status = stack.inspect(name), environ_of(stack.python(name, STATUS))
    assert known["Config"]["User"] == f"{UID}:{UID}"
    assert known["HostConfig"]["ReadonlyRootfs"] is True
    assert (known["EffectiveCaps"] or [], known["BoundingCaps"] or []) == ([], [])
    assert set(status["Uid"].split()) == set(status["Gid"].split()) == {UID}
    assert {status[one] for one in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"
    assert stack.python(name, WRITE).splitlines() == [
        "/ EROFS", "/etc EROFS", "/opt/callstitch EROFS", "/tmp written", "/dev/shm written",  # noqa: S108
    ]  # fmt: skip


def test_nothing_is_lost_while_containers_come_and_go(stack: Stack) -> None:
    stack.up("demo")
    demo = stack.one("demo")
    wait_for(lambda: stack.answered() > 50, 60, why=lambda: stack.tail("demo"))

    for service in SCALED:
        stack.scale_up(service, 3)
    said(f"1 -> 3: healthy after {stack.wait_until_healthy(*SCALED):.1f} s")
    assert [len(stack.names(service)) for service in SCALED] == [3, 3]
    assert_playing(stack, demo)

    for name in [stack.names(service)[1] for service in SCALED]:
        stack.engine.podman("kill", name)
        assert stack.exit_code(name) == 137
        stack.engine.podman("start", name)
    said(f"killed: healthy after {stack.wait_until_healthy(*SCALED):.1f} s")
    assert_playing(stack, demo)

    stack.engine.podman("restart", "--time", "60", stack.one("rabbitmq"))
    stack.wait_until_healthy("rabbitmq")
    stack.wait_until_reached("rabbitmq")
    said(f"RabbitMQ restarted: roles healthy {stack.wait_until_healthy(*ROLES, seconds=BACK_SECONDS):.1f} s after it")

    for name in [name for service in SCALED for name in stack.names(service)[1:]]:
        code, took = stack.stop(name)
        said(f"3 -> 1: {name} ended with {code} in {took:.1f} s")
        assert code == 0

    wait_for(lambda: demo not in stack.names("demo"), PLAY_SECONDS, why=lambda: stack.tail("demo"))
    for service in ROLES:
        said(f"memory: {service} {stack.megabytes(stack.one(service)):.0f} MiB")
    ledger = stack.engine.podman("logs", demo).stdout
    said(ledger)
    assert "the ledger balances" in ledger, stack.tail("demo")
    assert stack.exit_code(demo) == 0
    wait_for(lambda: recordings(stack) > 0, 60, why=lambda: stack.tail("s3"))


def test_the_books_balance_and_no_letter_is_dead(stack: Stack) -> None:
    """By the operator's own commands, in a container that runs; a door that ends tells its last count."""
    stack.wait_until_healthy(*ROLES)
    code, took = stack.stop(stack.one("ingest"))
    said(f"ingest ended with {code} in {took:.1f} s")
    assert code == 0
    wait_for(lambda: stack.reconcile().returncode == 0, RECONCILED_SECONDS, why=lambda: stack.reconcile().stdout)
    told = stack.engine.podman("exec", stack.one("park"), "callstitch", "dead", "list").stdout
    assert told.strip() == "there are no dead letters"


def handles_sigterm(engine: Engine, name: str) -> bool:
    """Whether the container's first process would notice."""
    status = engine.podman("exec", name, "python", "-c", STATUS, check=False).stdout
    return bool(int(environ_of(status).get("SigCgt", "0"), 16) & 1 << (signal.SIGTERM - 1))


def recordings(stack: Stack) -> int:
    """How many objects the bucket holds; none while podman's resolver does not know the name."""
    done = stack.engine.podman("exec", stack.one("park"), "python", "-c", BUCKET, check=False)
    return int(done.stdout) if done.returncode == 0 else 0


def assert_playing(stack: Stack, demo: str) -> None:
    """What was done so far was done under load."""
    assert demo in stack.names("demo"), stack.tail("demo")
