"""deploy/compose.cluster.yaml over compose.yaml as containers: whichever node of three leads is killed or stopped.

`make cluster` plays it, and nothing else does: it is named, so that `make test` does not find it. CALLSTITCH_CONTAINERS
and CALLSTITCH_IMAGES are as in tests/containers/test_containers.py.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from schemas.topology import RECEIVED
from tests.building.tree import ROOT
from tests.containers import stand_ins
from tests.containers.engine import Engine, install
from tests.containers.stack import DEPENDENCIES, LOAD, ROLES, Stack, running
from tests.e2e.programs import wait_for
from tests.services import debian

pytestmark = pytest.mark.timeout(1200)

CLUSTER: Final = ROOT / "deploy/compose.cluster.yaml"
NODES: Final = ("rabbitmq", "rabbitmq2", "rabbitmq3")
FIRST_PUSHES_SECONDS: Final = 60.0
FLOW_SECONDS: Final = 30.0  # on two cores, three nodes beside all roles; a role that has to look for a node takes 5
BACK_SECONDS: Final = 90.0
PLAY_SECONDS: Final = 420.0
RECONCILED_SECONDS: Final = 120.0
NEW_PUSHES: Final = 50


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """All of it but the profile `watch`, healthy."""
    debian.or_skip(install)
    kept = os.environ.get("CALLSTITCH_CONTAINERS")
    engine = Engine(home=Path(kept or tempfile.mkdtemp(prefix="callstitch-cluster-", dir="/var/tmp")))
    try:
        stand_ins.build_all(engine, pull=os.environ.get("CALLSTITCH_IMAGES") == "pull")
        files = (stand_ins.COMPOSE, CLUSTER, LOAD)
        with running(Stack(engine=engine, files=files, dependencies=(*NODES, *DEPENDENCIES[1:]))) as stack:
            yield stack
    finally:
        engine.close(keep_images=bool(kept))


def said(*what: object) -> None:
    """Figures for whoever reads the run."""
    print(*what)  # noqa: T201


def test_three_nodes_are_one_and_each_holds_a_copy_of_every_queue(stack: Stack) -> None:
    for node in NODES:
        assert running_nodes(stack, node) == {f"rabbit@{one}" for one in NODES}
    found = queues(stack, NODES[0])
    assert RECEIVED in {queue["name"] for queue in found}
    for queue in found:
        assert set(queue["members"]) == set(queue["online"]) == {f"rabbit@{one}" for one in NODES}, queue


def test_whichever_node_leads_is_killed_or_stopped_and_all_balances(stack: Stack) -> None:
    stack.up("demo")
    demo = stack.one("demo")
    wait_for(lambda: stack.answered() > NEW_PUSHES, FIRST_PUSHES_SECONDS, why=lambda: stack.tail("demo"))

    for how in ("kill", "stop"):
        gone = leader(stack)
        if how == "kill":
            stack.engine.podman("kill", stack.one(gone))
        else:
            stack.engine.podman("stop", "--time", "60", stack.one(gone))
        hit = time.monotonic()
        before = stack.answered()
        wait_for(lambda: stack.answered() > before + NEW_PUSHES, FLOW_SECONDS, why=lambda: stack.tail("ingest"))  # noqa: B023 - it is called here
        flow = time.monotonic() - hit
        healthy = stack.wait_until_healthy(*ROLES, seconds=BACK_SECONDS)
        others = [node for node in NODES if node != gone]
        assert leader(stack, ask=others[0]) in others
        said(f"{how} {gone}: {NEW_PUSHES} more pushes answered in {flow:.1f} s, roles healthy {healthy:.1f} s later")
        assert demo in stack.names("demo"), stack.tail("demo")
        stack.engine.podman("start", stack.one(gone))
        stack.wait_until_healthy(gone)
        wait_for(lambda: all_are_online(stack), BACK_SECONDS, why=lambda: str(queues(stack, NODES[0])))

    wait_for(lambda: demo not in stack.names("demo"), PLAY_SECONDS, why=lambda: stack.tail("demo"))
    for service in (*NODES, *ROLES):
        said(f"memory: {service} {stack.megabytes(stack.one(service)):.0f} MiB")
    ledger = stack.engine.podman("logs", demo).stdout
    said(ledger)
    assert "the ledger balances" in ledger
    assert stack.exit_code(demo) == 0


def test_the_books_balance_and_no_letter_is_dead(stack: Stack) -> None:
    stack.wait_until_healthy(*ROLES)
    assert stack.stop(stack.one("ingest"))[0] == 0  # a door that ends tells its last count
    wait_for(lambda: stack.reconcile().returncode == 0, RECONCILED_SECONDS, why=lambda: stack.reconcile().stdout)
    told = stack.engine.podman("exec", stack.one("park"), "callstitch", "dead", "list").stdout
    assert told.strip() == "there are no dead letters"


def control(stack: Stack, node: str, *words: str) -> Any:
    """What `rabbitmqctl` of a node says."""
    done = stack.engine.podman("exec", stack.one(node), "rabbitmqctl", "--quiet", *words, "--formatter", "json")
    return json.loads(done.stdout)


def running_nodes(stack: Stack, node: str) -> set[str]:
    """All that this one knows to be up."""
    return set(control(stack, node, "cluster_status")["running_nodes"])


def queues(stack: Stack, node: str) -> list[dict[str, Any]]:
    """Every queue of ours, where it has copies, and which of these are up."""
    columns = ("name", "leader", "members", "online")
    found: list[dict[str, Any]] = control(stack, node, "list_queues", "--vhost", "callstitch", *columns)
    return found


def leader(stack: Stack, ask: str = NODES[0]) -> str:
    """The service whose node leads what the door stores."""
    (found,) = (queue["leader"] for queue in queues(stack, ask) if queue["name"] == RECEIVED)
    return str(found).removeprefix("rabbit@")


def all_are_online(stack: Stack) -> bool:
    """Whether each queue has all its copies back."""
    return all(len(queue["online"]) == len(NODES) for queue in queues(stack, NODES[0]))
