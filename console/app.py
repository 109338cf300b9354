"""The callstitch command itself: the options that several commands take, and the exit codes."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Final

import typer

from console.screen import complain, out
from runtime.logs import configure_logs
from schemas.errors import CallstitchError, Misconfigured, Unavailable

EXIT_DIFFERENCE: Final = 1
EXIT_UNAVAILABLE: Final = 69  # EX_UNAVAILABLE of sysexits.h
EXIT_CONFIG: Final = 78  # EX_CONFIG

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(*, asked: bool) -> None:
    if asked:
        out.print(f"callstitch {version('callstitch')}")
        raise typer.Exit


@app.callback()
def root(
    *,
    version_asked: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=lambda asked: _print_version(asked=asked),
            is_eager=True,
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    """One trustworthy record per call from what cloud-telephony platforms push."""


ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", envvar="CALLSTITCH_CONFIG", help="TOML file; without one, the default config is used."),
]
NumbersOption = Annotated[bool, typer.Option("--show-numbers", help="Do not mask phone numbers.")]


@contextmanager
def quietly() -> Iterator[None]:
    """Exit codes as documented; what is logged meanwhile goes to stderr, so that stdout is the answer alone."""
    configure_logs(json=not sys.stderr.isatty(), level=logging.WARNING, waiting=True)
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)  # broker.unreachable says the same, once
    with exit_codes():
        yield


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turn our errors into one clear line and the documented exit code."""
    try:
        yield
    except CallstitchError as error:
        _fail(error)
    except BaseExceptionGroup as group:
        ours = _first_of_ours(group)
        if ours is None:
            raise
        _fail(ours)


def _first_of_ours(group: BaseExceptionGroup[BaseException]) -> CallstitchError | None:
    for error in group.exceptions:
        found = _first_of_ours(error) if isinstance(error, BaseExceptionGroup) else error
        if isinstance(found, CallstitchError):
            return found
    return None


def _fail(error: CallstitchError) -> None:
    complain(f"callstitch: {error}")
    raise typer.Exit(exit_code(error)) from None


def exit_code(error: CallstitchError) -> int:
    """The documented one of an error of ours."""
    codes: list[tuple[type[CallstitchError], int]] = [(Misconfigured, EXIT_CONFIG), (Unavailable, EXIT_UNAVAILABLE)]
    return next((code for kind, code in codes if isinstance(error, kind)), EXIT_DIFFERENCE)
