"""`python -m tests.containers FOLDER`: the compose file as containers by hand, until Ctrl-C; images stay in FOLDER."""

from __future__ import annotations

import shlex
import signal
import sys
from contextlib import suppress
from pathlib import Path

from tests.containers import stand_ins
from tests.containers.engine import Engine, install
from tests.containers.stack import Stack, running


def main() -> None:
    """Start it, and say how to look at it."""
    install()
    engine = Engine(home=Path(sys.argv[1]).resolve())
    stand_ins.build_all(engine, pull=False)
    with running(Stack(engine=engine)) as stack, suppress(KeyboardInterrupt):
        print("the door:", stack.environ["CALLSTITCH_DOOR"])  # noqa: T201 - the caller reads it
        print(shlex.join(engine.command("podman", "ps")))  # noqa: T201
        signal.pause()


if __name__ == "__main__":
    main()
