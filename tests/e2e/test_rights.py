"""The least rights on RabbitMQ that docs/operating.md names for roles: with them all of a call's way works."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.programs import ROOT
from tests.e2e.roles import end_in_order, running_roles
from tests.e2e.running import callstitch
from tests.services.rabbitmq import RabbitMQ

WORKERS: Final = {stage: (stage,) for stage in ("dedupe", "correlate", "park")} | {"fan_out": ("fan_out",)}
NAMED: Final = re.compile(r"set_permissions -p VHOST (\w+) '(.*?)' '(.*?)' '(.*?)'")


def named(user: str) -> tuple[str, str, str]:
    """Configure, write and read of that user, as the page has them."""
    found = {one[0]: one[1:] for one in NAMED.findall((ROOT / "docs/operating.md").read_text())}
    configure, write, read = found[user]
    return configure, write, read


@pytest.mark.rabbitmq
def test_roles_work_with_the_least_rights_of_the_page(
    tmp_path: Path, rabbitmq_node: RabbitMQ, fresh_amqp_url: str
) -> None:
    vhost = fresh_amqp_url.rpartition("/")[2]

    def permit(user: str) -> None:
        rights = ", ".join(f'<<"{pattern}">>'.replace("\\", "\\\\") for pattern in named(user))
        rabbitmq_node.eval(f"""
            ok = rabbit_auth_backend_internal:set_permissions(<<"guest">>, <<"{vhost}">>, {rights}, <<"tests">>).""")

    permit("operator")
    with running_roles(tmp_path, fresh_amqp_url, workers=WORKERS) as (door, roles):
        assert set(end_in_order(door, *roles.values()).values()) == {0}
        permit("role")
        for role in (door, *roles.values()):
            role.start(ready=False)
        for role in (door, *roles.values()):
            role.wait_until_ready()
        assert door.post("axb-fee.json", "/fee") == 200
        assert door.post(b"this is not JSON") == 200
        door.wait_for(lambda: [one for one in door.events() if one["type"] == "callstitch.call.completed.v1"])
        door.wait_for(lambda: "not_json" in callstitch(door, "quarantine", "list"))
