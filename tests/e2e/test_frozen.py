"""Two workers of each stage at once, one of them frozen under load and woken: what it still believes harms no record.

Not in CI, for it runs twelve processes: `CALLSTITCH_FROZEN_SECONDS=60 .venv/bin/pytest tests/e2e/test_frozen.py -s`.
A minute is long enough for RabbitMQ and PostgreSQL to give up the frozen workers and hand their work to the others.
"""

from __future__ import annotations

import base64
import math
import os
import secrets
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.chaos.backstage import open_backstage
from tests.chaos.receiver import Receiver
from tests.e2e.balance import wait_until_balanced
from tests.e2e.programs import Role, wait_for
from tests.e2e.roles import end_in_order, running_roles
from tests.e2e.running import FINISH_SECONDS, Up, playing

FROZEN_SECONDS = float(os.environ.get("CALLSTITCH_FROZEN_SECONDS", "60"))
RATE = 100.0  # notifications a second
ITEMS_A_CALL = 6  # the emulator makes some more, so that the platform pushes for longer than the frost
ANSWERED_BEFORE = 100
BALANCED_SECONDS = 60.0 + FROZEN_SECONDS
HOOK_SECRET = "E2E_HOOK_SECRET"
STAGES: Mapping[str, Sequence[str]] = {
    "dedupe": ("dedupe",),
    "correlate": ("correlate",),
    "fetch_recording": ("fetch_recording",),
    "fan_out.hook": ("fan_out", "--sink", "hook"),
    "park": ("park",),
}
FROZEN = {f"{stage}.frozen": words for stage, words in STAGES.items()}
AWAKE = {f"{stage}.awake": words for stage, words in STAGES.items()}
FILE = {"fan_out.file": ("fan_out", "--sink", "file")}  # a file has one owner

pytestmark = [pytest.mark.rabbitmq, pytest.mark.timeout(300 + 5 * FROZEN_SECONDS)]


def test_a_worker_that_was_frozen_beside_one_that_was_not_makes_no_record_wrong(
    tmp_path: Path, fresh_amqp_url: str, postgres_dsn: str
) -> None:
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
    receiver = Receiver(secret=secret, failing=False)
    calls = math.ceil(RATE * (FROZEN_SECONDS + 2) / ITEMS_A_CALL)
    with (
        open_backstage() as backstage,
        running_roles(
            tmp_path,
            fresh_amqp_url,
            store=postgres_dsn,
            extra=hook(backstage.serve(receiver)),
            environ={HOOK_SECRET: secret},
            workers={**FROZEN, **AWAKE, **FILE},
        ) as (door, workers),
        playing(door, calls=calls, rate=RATE) as emulator,
    ):
        emulator.wait_until_answered(ANSWERED_BEFORE)
        with frozen([workers[name] for name in FROZEN]):
            said = lines(door)
            time.sleep(FROZEN_SECONDS)
            assert lines(door) > said, "the others did not go on"

        wait_until_balanced(
            door, emulator.finish(FINISH_SECONDS + FROZEN_SECONDS), BALANCED_SECONDS, store=postgres_dsn
        )
        ids = {event["id"] for event in door.events()}
        wait_for(lambda: ids <= receiver.accepted.keys(), BALANCED_SECONDS, why=workers["fan_out.hook.awake"].tail)
        assert receiver.accepted.keys() <= ids
        assert receiver.two_bodies == set()
        print(f"{len(ids)} events; said more than once: {lines(door) - len(ids)} in the file,"  # noqa: T201 - with -s
              f" {receiver.accepted.total() - len(ids)} to the webhook")  # fmt: skip
        assert end_in_order(*workers.values()) == dict.fromkeys(workers, 0)


@contextmanager
def frozen(roles: Sequence[Role]) -> Iterator[None]:
    """None of them does anything (SIGSTOP)."""
    for role in roles:
        role.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for role in roles:
            role.process.send_signal(signal.SIGCONT)


def hook(url: str) -> str:
    """The sink of two workers."""
    return (
        f'[[sink]]\nname = "hook"\nkind = "webhook"\nurl = "{url}"\nsecret = "env:{HOOK_SECRET}"\n'
        "allow_private = true\n"
    )


def lines(door: Up) -> int:
    """How many lines the file sink has."""
    file = door.directory / "calls.jsonl"
    return file.read_bytes().count(b"\n") if file.exists() else 0
