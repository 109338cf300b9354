"""`python -m tests.chaos`: exit code 0 when nothing is wrong, 1 when something is, 2 when it cannot be played."""

from __future__ import annotations

import argparse
import fcntl
import logging
import os
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import structlog
from rich.console import Console

from tests.chaos.disk import can_mount, unmount
from tests.chaos.kit import run
from tests.chaos.report import show
from tests.chaos.settings import CLUSTER_FAULTS, EVERY_FAULT, FAULTS, Settings
from tests.services import debian, faketime

EXIT_DIFFERENCE = 1
EXIT_TROUBLE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Play one run and tell what came of it."""
    out = Console(soft_wrap=True)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))  # the roles log, we report
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_TROUBLE))  # so that everything that runs is ended too
    try:
        settings = _settings(arguments)
        with _own(settings.directory):
            out.print(_conditions(settings), markup=False, highlight=False)
            result = run(settings)
    except (AssertionError, RuntimeError, ValueError) as trouble:
        out.print(f"chaos: could not be played: {trouble}", style="bold red", markup=False)
        return EXIT_TROUBLE
    show(out, result)
    return 0 if result.passed else EXIT_DIFFERENCE


def _conditions(settings: Settings) -> str:
    faults = ", ".join(fault for fault in EVERY_FAULT if settings.wants(fault)) or "none"
    return (
        f"chaos: seed {settings.seed}, {settings.seconds:g} s, {settings.rate:g} notifications/s,"
        f" {'cluster of ' if settings.cluster else ''}{settings.stack} and {settings.store}, faults: {faults}"
        + (f", sabotage: {settings.sabotage}" if settings.sabotage else "")
        + f"; logs in {settings.directory}"
    )


def _settings(arguments: Sequence[str] | None) -> Settings:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="The fault kit of Callstitch.")
    parser.add_argument("--seconds", type=float, default=60, help="how long faults come (60)")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same traffic and same schedule (1)")
    parser.add_argument("--rate", type=float, default=300, help="notifications a second (300)")
    parser.add_argument("--faults", help=f"some of {','.join(EVERY_FAULT)}, or all; ({','.join(FAULTS)})")
    parser.add_argument("--cluster", action="store_true", help="RabbitMQ is three nodes; the one that leads is hit")
    parser.add_argument("--stack", choices=["rabbitmq", "embedded"], default="rabbitmq")
    parser.add_argument("--store", choices=["postgresql", "sqlite"], help="(postgresql with rabbitmq, else sqlite)")
    parser.add_argument("--sabotage", choices=["drop", "double", "ack_first"], help="a bug on purpose: must be caught")
    parser.add_argument("--drain", type=float, default=240, help="seconds to drain at most (240)")
    parser.add_argument("--directory", type=Path, default=Path("var/chaos"), help="wiped at start (var/chaos)")
    given = parser.parse_args(arguments)
    directory = given.directory.resolve()
    return Settings(
        seconds=given.seconds,
        seed=given.seed,
        rate=given.rate,
        faults=_faults(given.faults if given.faults is not None else ",".join(_by_default(given.cluster))),
        stack=given.stack,
        store=given.store or ("postgresql" if given.stack == "rabbitmq" else "sqlite"),
        sabotage=given.sabotage,
        drain_seconds=given.drain,
        directory=directory,
        cluster=given.cluster,
    )


def _by_default(cluster: bool) -> Sequence[str]:
    return CLUSTER_FAULTS if cluster else FAULTS


def _faults(words: str) -> frozenset[str]:
    """Those that are named; `all` is all that can be played on this machine, which in CI is every one."""
    if words != "all":
        return frozenset(words.split(",")) if words else frozenset()
    return frozenset(EVERY_FAULT) - (frozenset() if debian.in_ci() else frozenset(_impossible()))


def _impossible() -> Iterator[str]:
    if not can_mount():
        yield "disk_full"
    try:
        faketime.install()
    except debian.Missing:
        yield "clock_skewed"


@contextmanager
def _own(directory: Path) -> Iterator[None]:
    """The directory emptied, and ours until the end: two runs in one would wipe each other."""
    directory.mkdir(parents=True, mode=0o700, exist_ok=True)
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        _lock(descriptor, directory)
        for path in directory.iterdir():
            if path.is_mount():  # of a run that was killed
                unmount(path)
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, directory: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RuntimeError(f"another run uses {directory}") from None


if __name__ == "__main__":
    sys.exit(main())
