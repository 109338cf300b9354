"""`python -m tests.fuzz`: exit code 0 when every promise held, 1 when one was broken, and what broke it is printed."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import HypothesisException

from schemas.dialect.dialect import AnyDialect
from schemas.notification import Notification
from schemas.platforms import DIALECTS
from tests.contracts.platforms import sources
from tests.e2e.running import running_up
from tests.fuzz.hostile import hostile
from tests.fuzz.promises import keeps_all_promises, takes_no_time
from tests.fuzz.test_sockets import at_the_admin_port, at_the_door, fuzz

EXIT_BROKEN: Final = 1
A_ROUND: Final = 200  # examples
SHOWN_BYTES: Final = 3_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Round after round over all platforms, each with a seed of its own, until the time is over."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="The fuzzer of Callstitch.")
    parser.add_argument("--seconds", type=float, default=3600, help="how long (3600)")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same pushes (1)")
    parser.add_argument("--platform", action="append", choices=sorted(DIALECTS), help="(all)")
    parser.add_argument("--sockets", action="store_true", help="broken bytes to a running process instead")
    given_ = parser.parse_args(arguments)
    if given_.sockets:
        return _sockets(given_.seed, time.monotonic() + given_.seconds)
    platforms = given_.platform or sorted(DIALECTS)
    broken: Counter[str] = Counter()
    rounds, until = 0, time.monotonic() + given_.seconds
    while time.monotonic() < until:
        for platform in platforms:
            broken += _round(DIALECTS[platform], given_.seed + rounds, broken)
        rounds += 1
    pushes = rounds * A_ROUND * len(platforms)
    print(f"fuzz: {pushes} pushes from seed {given_.seed}, broken promises: {broken.total()}")  # noqa: T201
    return EXIT_BROKEN if broken else 0


def _sockets(first: int, until: float) -> int:
    """The door and the admin port of an `up`, round after round; the first breach ends it."""
    with tempfile.TemporaryDirectory() as place, running_up(Path(place)) as up:
        number = first
        while time.monotonic() < until:
            for address, requests in ((up.listen, at_the_door(up)), (up.admin, at_the_admin_port(up))):
                try:
                    fuzz(up, address, requests, tries=A_ROUND, seed=number)
                except AssertionError as breach:
                    print(f"fuzz: seed {number} at {address}: {str(breach)[:SHOWN_BYTES]}")  # noqa: T201
                    return EXIT_BROKEN
            number += 1
        print(f"fuzz: {2 * A_ROUND * (number - first)} requests from seed {first}, broken promises: 0")  # noqa: T201
        return EXIT_BROKEN if "Traceback" in up.log_file.read_text() else 0


def _round(dialect: AnyDialect, number: int, known: Counter[str]) -> Counter[str]:
    """What was broken, by where; each place is told once."""
    found: Counter[str] = Counter()

    @seed(number)
    @settings(
        max_examples=A_ROUND,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(data=st.data())
    def holds(data: st.DataObject) -> None:
        push, source = data.draw(hostile(dialect)), data.draw(st.sampled_from(sources(dialect)))
        try:
            keeps_all_promises(dialect, push, source)
            takes_no_time(dialect, push, source)
        except HypothesisException:
            raise
        except Exception as breach:  # noqa: BLE001 - whatever is raised is a finding
            where = f"{dialect.name} {_where(breach)}"
            if where not in known and where not in found:
                _tell(where, breach, push, number)
            found[where] += 1

    holds()
    return found


def _where(breach: Exception) -> str:
    frames = traceback.extract_tb(breach.__traceback__)
    return f"{type(breach).__name__} at {frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}"


def _tell(where: str, breach: Exception, push: Notification, number: int) -> None:
    print(f"\nfuzz: {where} (seed {number}): {str(breach)[:500]}")  # noqa: T201
    print("".join(traceback.format_tb(breach.__traceback__)[-3:]))  # noqa: T201
    short = f"{push!r}" if len(push.body) < SHOWN_BYTES else f"{len(push.body)} bytes: {push!r}"[:SHOWN_BYTES]
    print(short, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
